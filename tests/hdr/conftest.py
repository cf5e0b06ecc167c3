"""A bracket that holds more light than a picture shows, and a reader of gain maps that is not ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gainmaps import WIDE, Floats

from mefcli import demo
from tests.formats.conftest import exiftool, samples

__all__ = ["exiftool", "samples"]  # fixtures, borrowed


@pytest.fixture(scope="session")
def room(tmp_path_factory: pytest.TempPathFactory, light: Floats) -> list[Path]:
    return demo.make_bracket(tmp_path_factory.mktemp("wide"), stops=WIDE, light=light)


@pytest.fixture
def judge() -> Any:
    """libultrahdr: linear light from a file, by somebody else's reading of the standard."""
    import imagecodecs

    if not getattr(getattr(imagecodecs, "ULTRAHDR", None), "available", False):
        pytest.skip("imagecodecs with libultrahdr is not installed: gain maps were NOT judged")

    def decode(path: Path) -> Floats:
        pixels: Floats = imagecodecs.ultrahdr_decode(path.read_bytes(), dtype="float16")
        return pixels[..., :3].astype(np.float32)

    return decode
