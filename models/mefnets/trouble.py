"""What the engine refuses, each in one clear sentence with a remedy. All are `ValueError`s:

* FusionError
  + FramesError       too few frames, frames of several sizes, an unfit depth
  + DeviceError       a device that is not there
  + TooLargeError     more pixels than the network can see at once, or more than the memory holds
"""

from __future__ import annotations


class FusionError(ValueError):
    """What is wrong, and (as `hint`) what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".rstrip())
        self.message = message
        self.hint = hint


class FramesError(FusionError):
    pass


class DeviceError(FusionError):
    pass


class TooLargeError(FusionError):
    pass
