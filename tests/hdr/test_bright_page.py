"""The report page shows light beyond white where the screen can, in a real browser."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from gainmaps import fused, map_of, most_of
from toolkit import Mef

from tests.evaluation.webdriver import BROWSER, DRIVER, Browser


@pytest.fixture
def page(mef: Mef, room: list[Path], tmp_path: Path) -> Path:
    report = tmp_path / "page.html"
    fused(mef, room, tmp_path / "bright.jpg", "--hdr", "--report", report)
    return report


def embedded(page: Path) -> dict[str, bytes]:
    """The pictures of a page, by their words."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<img id="picture-\d+" alt="(.*?)".*? src="data:image/jpeg;base64,(.*?)"', text)
    return {words: base64.b64decode(data) for words, data in found}


def test_the_page_holds_the_picture_with_and_without_its_light(page: Path) -> None:
    pictures = embedded(page)
    assert len(pictures) == 6
    bright = pictures["Fused (mertens), with light beyond white"]
    assert map_of(bright) == map_of((page.parent / "bright.jpg").read_bytes())
    assert most_of(map_of(bright)) > 1
    assert b"hdrgm" not in pictures["Fused (mertens)"]
    assert page.read_text(encoding="utf-8").count("Histogram of Fused") == 1


def test_a_result_without_light_beyond_white_has_the_page_it_had(
    mef: Mef, room: list[Path], tmp_path: Path
) -> None:
    report = tmp_path / "page.html"
    fused(mef, room, tmp_path / "plain.jpg", "--report", report)
    assert len(embedded(report)) == 5
    assert 'screen-plain">' not in report.read_text(encoding="utf-8")


def test_beside_an_avif_in_pq_the_page_shows_the_picture(mef: Mef, room: list[Path], tmp_path: Path) -> None:
    pages = []
    for name in ("a.avif", "b.tif"):  # the first output is the bright one
        pages.append(tmp_path / f"{name}.html")
        first = tmp_path / f"{len(pages)}{name}"
        fused(mef, room, first, "-o", tmp_path / f"{name}.jpg", "--hdr", "--report", pages[-1])
    one, other = (embedded(page)["Fused (mertens)"] for page in pages)
    assert abs(len(one) - len(other)) < 0.1 * len(other)


@pytest.mark.parametrize("bright", [False, True], ids=["ordinary screen", "bright screen"])
def test_a_bright_screen_is_given_both(page: Path, tmp_path: Path, bright: bool) -> None:
    if not (BROWSER and DRIVER):
        pytest.skip("NOT TESTED: the page in a real browser; chromium and chromedriver are not installed")
    browser = Browser(tmp_path / "profile", more=("--force-color-profile=hdr10",) if bright else ())
    try:
        browser.open(page)
        if browser.run("return matchMedia('(dynamic-range: high)').matches") is not bright:
            pytest.skip("NOT TESTED: this chromium has no bright screen to pretend")
        style = "getComputedStyle(document.querySelector('{}')).{}"
        shown = [style.format(css, "display") for css in (".screen-bright", ".screen-plain")]
        told, limit, alts = browser.run(
            f"return [[{','.join(shown)}],"
            f"[{','.join(style.format(css, 'dynamicRangeLimit') for css in ('#before', '#after'))}],"
            "[document.getElementById('before').alt, document.getElementById('after').alt]]"
        )
        assert told == (["block", "none"] if bright else ["none", "block"])
        assert limit == ["standard", "no-limit" if bright else "standard"]
        if bright:
            assert alts == ["Fused (mertens)", "Fused (mertens), with light beyond white"]
        else:
            assert alts[1] == "Fused (mertens)"
        browser.run(
            "const s = document.getElementById('right'); s.value = s.options.length - 1;"
            "s.dispatchEvent(new Event('change'))"
        )
        assert browser.run(f"return {style.format('#after', 'dynamicRangeLimit')}") == "no-limit"
        assert browser.run("return document.getElementById('after').naturalWidth") == 144
        assert browser.errors() == []
    finally:
        browser.close()
