"""Every expected trouble, as one tree with the engine's (`mefnets.trouble`): nothing is converted on the way.

* MefError                    one clear sentence: what happened, and what to do
  x UsageError                the request itself cannot be carried out (exit 2)
  + InputError                a source file is missing, broken or does not belong
    + UnreadableError         cannot be decoded: truncated, empty, not a picture
    + MismatchError           frames that do not belong together
  + OutputError               the result cannot be written; nothing was left behind
  + ModelError                bad or unverified weights, unfit network
    x UnknownModelError       there is no model of that name (exit 2)
  + FramesError               arrays that the engine cannot fuse together
  + TooLargeError             more pixels than a network sees at once, or than the memory holds
  + DeviceError               a device that is not there or ran out of memory
  + AlignmentError            frames that cannot be aligned (with --strict)
  + MissingExtraError         an optional package is needed; names the extra to install

Raised anywhere, caught once: in `mefcli/cli/app.py`, and per bracket in a batch. A sentence names a parameter
with `named`; shown by the command line it is the parameter's flag.
"""

from __future__ import annotations

from collections.abc import Iterable

from mefnets.trouble import (
    DeviceError,
    FramesError,
    MefError,
    ModelError,
    TooLargeError,
    UsageError,
    named,
    spelled,
)

__all__ = [
    "AlignmentError",
    "DeviceError",
    "FramesError",
    "InputError",
    "MefError",
    "MismatchError",
    "MissingExtraError",
    "ModelError",
    "OutputError",
    "TooLargeError",
    "UnknownModelError",
    "UnreadableError",
    "UsageError",
    "did_you_mean",
    "flag",
    "named",
    "spelled",
]


def flag(parameter: str) -> str:
    """How the command line calls a parameter: --max-memory for max_memory."""
    return f"--{parameter.replace('_', '-')}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question with the near names and a space after it; nothing where none is near.

    A distant name is no help beside a near one.
    """
    from difflib import SequenceMatcher, get_close_matches

    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    likeness = [SequenceMatcher(None, one, name).ratio() for one in near]
    near = [one for one, like in zip(near, likeness, strict=True) if like > likeness[0] - 0.2]
    return f"Did you mean {' or '.join(near)}? " if near else ""


class InputError(MefError):
    pass


class UnreadableError(InputError):
    pass


class MismatchError(InputError):
    pass


class OutputError(MefError):
    pass


class UnknownModelError(ModelError, UsageError):
    pass


class AlignmentError(MefError):
    pass


class MissingExtraError(MefError):
    pass
