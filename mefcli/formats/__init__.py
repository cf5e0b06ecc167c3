"""Files in and out: one library each, wrapped once. Everything loads on use.

`sniff`, `read_shot` and `read_metadata` touch headers only; `decode` and `decode_reduced` give pixels;
`encode` writes one finished file; `write_dng` writes a sensor's mosaic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mefcli.formats.decoding import decode as decode
    from mefcli.formats.decoding import decode_reduced as decode_reduced
    from mefcli.formats.dng import write_dng as write_dng
    from mefcli.formats.encoding import encode as encode
    from mefcli.formats.icc import icc_profile as icc_profile
    from mefcli.formats.icc import profile_name as profile_name
    from mefcli.formats.kinds import sniff as sniff
    from mefcli.formats.metadata import Metadata as Metadata
    from mefcli.formats.metadata import read_metadata as read_metadata
    from mefcli.formats.raw import bracket_development as bracket_development
    from mefcli.formats.shot import read_shot as read_shot
    from mefcli.formats.tiff import too_large as too_large
    from mefcli.formats.values import Development as Development
    from mefcli.formats.values import Encoding as Encoding
    from mefcli.formats.values import Picture as Picture

_HOMES = {
    "Development": "values",
    "Encoding": "values",
    "Metadata": "metadata",
    "Picture": "values",
    "bracket_development": "raw",
    "decode": "decoding",
    "decode_reduced": "decoding",
    "encode": "encoding",
    "icc_profile": "icc",
    "profile_name": "icc",
    "read_metadata": "metadata",
    "read_shot": "shot",
    "sniff": "kinds",
    "too_large": "tiff",
    "write_dng": "dng",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"mefcli.formats.{_HOMES[name]}"), name)
    raise AttributeError(name)
