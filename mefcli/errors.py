"""Every expected trouble, as a tree:

* MefError                    one clear sentence: what happened, and what to do
  x UsageError                the request itself cannot be carried out (exit 2)
  + InputError                a source file is missing, broken or does not belong
    + UnreadableError         cannot be decoded: truncated, empty, not a picture
    + MismatchError           frames that do not belong together
  + OutputError               the result cannot be written; nothing was left behind
  + ModelError                unknown model, bad or unverified weights, unfit network
  + DeviceError               a device that is not there or ran out of memory
  + AlignmentError            frames that cannot be aligned (with --strict)
  + MissingExtraError         an optional package is needed; names the extra to install

Raised anywhere, caught once: in `mefcli/cli/app.py`, and per bracket in a batch.
"""

from __future__ import annotations


class MefError(Exception):
    """What happened, and (as `hint`) what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class UsageError(MefError):
    exit_code = 2


class InputError(MefError):
    pass


class UnreadableError(InputError):
    pass


class MismatchError(InputError):
    pass


class OutputError(MefError):
    pass


class ModelError(MefError):
    pass


class DeviceError(MefError):
    pass


class AlignmentError(MefError):
    pass


class MissingExtraError(MefError):
    pass
