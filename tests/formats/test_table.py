"""One table of formats: it is true, and everything that speaks of formats follows it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from mefcli.formats import Encoding, decode, encode, sniff
from mefcli.formats.header import parse_header
from mefcli.formats.table import FORMATS, PICTURES, READ, READ_S, WRITTEN, accepted, readme_table
from mefcli.values import Kind
from tests.formats.conftest import photo

ROOT = Path(__file__).resolve().parents[2]


def test_every_kind_of_shot_has_a_row_and_every_row_its_own_suffixes() -> None:
    assert set(READ_S) == set(get_args(Kind))
    suffixes = [suffix for row in FORMATS for suffix in row.suffixes + row.named_only]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert {".gif", ".jxl", ".cap"}.isdisjoint(PICTURES)
    assert all(row.title in accepted() for row in READ)


def test_the_readme_has_the_tables_rows() -> None:
    assert readme_table() in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", WRITTEN)
def test_what_is_written_under_a_suffix_has_its_kind_and_depths(tmp_path: Path, suffix: str) -> None:
    row = WRITTEN[suffix]
    for bits in row.depths:
        path = tmp_path / f"{bits}{suffix}"
        notes = encode(
            path, photo().astype(np.uint16) * 257, icc=None, metadata=None, options=Encoding(bit_depth=bits)
        )
        assert not notes
        assert path.stat().st_size
        if row.kind is not None:
            assert sniff(path) == row.kind
            assert decode(path).pixels.dtype == {8: np.uint8, 32: np.float32}.get(bits, np.uint16)


def test_a_depth_that_a_format_does_not_hold_is_said(tmp_path: Path) -> None:
    notes = encode(
        tmp_path / "a.jpg", photo(), icc=None, metadata=None, options=Encoding(bit_depth=16, quality=90)
    )
    assert notes == ("8 bits a channel: JPEG holds no 16",)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_parser_that_takes_any_bytes(kind: Kind) -> None:
    assert parse_header(b"nothing of the kind, but long enough to look at twice" * 4, kind).kind == kind
