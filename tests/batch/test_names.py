"""Outputs' names, from templates that anybody may write."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from toolkit import Mef

from mefcli import api
from mefcli.batch.names import check_name, place_of
from mefcli.errors import UsageError
from mefcli.job import Job
from mefcli.values import Bracket


@pytest.fixture
def bracket(jpegs: list[Path]) -> Bracket:
    return api.plan(jpegs)


def at(bracket: Bracket, taken: datetime | None) -> Bracket:
    return replace(bracket, shots=tuple(replace(shot, taken_at=taken) for shot in bracket.shots))


def test_a_date_may_be_written_in_any_way(bracket: Bracket) -> None:
    day = at(bracket, datetime(2024, 5, 1))
    assert place_of(day, "{date}", Job()) == Path("2024-05-01")
    assert place_of(day, "{date:%Y}/{date:%m}_{stem:.3}", Job()) == Path("2024/05_roo")
    assert place_of(at(bracket, None), "{date:%Y}/{stem}", Job()) == Path("undated/room_2")
    assert place_of(at(bracket, datetime(1, 1, 1)), "{date}", Job()) == Path("0001-01-01")


@pytest.mark.parametrize(
    "name",
    [
        "{stem:zz}",
        "{stem!z}",
        "{stem:{ev}}",
        "{stem:>99999999999}",
        "{stem",
        "{}",
        "{0}",
        "{stem.__class__}",
        "{stem[0]}",
        "{date:\0}",
        "a\0b",
        ".",
        "./",
        "",
        " ",
        "a/..",
        "../a",
        "/a",
        "a/",
        "{date:../%Y}",
        "{date:/%Y}",
    ],
)
def test_a_template_that_makes_no_name_is_refused_before_any_work(
    mef: Mef, jpegs: list[Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError, match=r"^name "):
        check_name(name)
    if "\0" not in name:
        done = mef("batch", jpegs[0].parent, "-o", tmp_path / "out", "--name", name)
        assert done.code == 2
        assert re.search(r"--name|Missing", done.err)
        assert "fault in mef" not in done.err


def test_dates_in_year_1_have_one_look_like_any_other(mef: Mef, jpegs: list[Path], tmp_path: Path) -> None:
    from mefcli.brackets.group import series

    far = at(api.plan(jpegs), datetime(1, 1, 1))
    assert len(series([far, far])) == 1
