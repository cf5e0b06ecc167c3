"""Every expected trouble, the networks' and the engine's here, the tool's own in `mefcli.errors`. One tree:

* MefError                    one clear sentence: what happened, and (as `hint`) what to do about it
  x UsageError                a choice that does not exist
  + FramesError               frames that are not fused together: too few, of several sizes, of an unfit depth
  + ModelError                what a network cannot do, weights that do not fit it
  + TooLargeError             more pixels than a network sees at once, or than the memory holds
  + DeviceError               a device that is not there or ran out of memory

A sentence that tells what to set names the parameter as `named("max_memory")`. Whoever shows it spells the
name: `str(error)`, `message` and `hint` as Python does, the command line as its flag (`MefError.spelled`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Around a parameter's name. Unicode keeps these two for a program's own use: no text of others holds them.
BEGIN, END = "\ufdd0", "\ufdd1"
NAMED = re.compile(f"{BEGIN}(.*?){END}")


def named(parameter: str) -> str:
    """A parameter's name inside a message or a hint."""
    return f"{BEGIN}{parameter}{END}"


def spelled(text: str, spell: Callable[[str], str]) -> str:
    """A text with every parameter's name as `spell` writes it."""
    return NAMED.sub(lambda found: spell(found[1]), text)


class MefError(Exception):
    """What happened, and (as `hint`) what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)

    def spelled(self, spell: Callable[[str], str]) -> tuple[str, str]:
        """Message and hint, with every parameter's name as `spell` writes it."""
        message, hint = (spelled(text, spell) for text in self.args)
        return message, hint

    @property
    def message(self) -> str:
        return self.spelled(str)[0]

    @property
    def hint(self) -> str:
        return self.spelled(str)[1]

    def __str__(self) -> str:
        return " ".join(self.spelled(str)).rstrip()


class UsageError(MefError):
    pass


class FramesError(MefError):
    pass


class ModelError(MefError):
    pass


class TooLargeError(MefError):
    pass


class DeviceError(MefError):
    pass
