"""Files are known by content, and strangers are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mefcli.errors import InputError, UnreadableError
from mefcli.formats import sniff
from tests.formats.conftest import photo


@pytest.mark.parametrize(
    ("format_", "kind"), [("JPEG", "jpeg"), ("PNG", "png"), ("TIFF", "tiff"), ("AVIF", "heif")]
)
def test_a_wrong_suffix_does_not_deceive(tmp_path: Path, format_: str, kind: str) -> None:
    path = tmp_path / "misnamed.txt"
    Image.fromarray(photo()).save(path, format=format_)
    assert sniff(path) == kind


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "empty"), (b"hello, a text", "not a picture"), (b"PF\n3 3\n-1\n", "PFM")]
)
def test_strangers_are_refused_by_name(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=word) as caught:
        sniff(path)
    assert "photo.jpg" in caught.value.message
    assert caught.value.hint


def test_missing_files_and_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        sniff(tmp_path / "absent.jpg")
    with pytest.raises(InputError, match="folder"):
        sniff(tmp_path)
