"""`mef batch --report`: the page of a batch, from hostile names to three hundred brackets."""

from __future__ import annotations

import os
import re
import shutil
import urllib.parse
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation.webdriver import BROWSER, DRIVER, Browser
from toolkit import MakeBracket, Mef

from mefcli import formats
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.errors import OutputError
from mefcli.pipeline.results import Done, Failed
from mefcli.report import gallery as g
from mefcli.report.thumbs import FRAME_PX, RESULT_PX, coded, smaller, thumb
from mefcli.values import Bracket, Record, Shot

FAST = ("--model", "average", "--align", "off", "--group", "folder")
NASTY = "<img src=x onerror=alert(1)>&\"'"
COMMANDING = os.fsdecode(b"\xff\x1b[31m\xe2\x80\xae")  # no text, a command, a turn of direction


@pytest.fixture
def card(copy_bracket: MakeBracket, tmp_path: Path) -> Path:
    """Three brackets, one of them broken; names of every kind; a file that is none; a picture alone."""
    for folder, name in (("plain", "IMG"), (NASTY, NASTY), ("odd", COMMANDING)):
        (tmp_path / "card").mkdir(exist_ok=True)
        for number, path in enumerate(copy_bracket(name=f"card/{folder}")):
            path.rename(path.with_name(f"{name}{number}.jpg"))
    broken = copy_bracket(name="card/broken")
    broken[1].write_bytes(broken[1].read_bytes()[:3000])
    (tmp_path / "card" / "none.png").write_bytes(b"no picture")
    shutil.copy(broken[0], tmp_path / "card" / "alone.jpg")
    return tmp_path / "card"


@pytest.fixture
def page(mef: Mef, card: Path, tmp_path: Path) -> Path:
    page = tmp_path / "out" / "index.html"
    done = mef("batch", card, "-o", tmp_path / "out", "--report", page, *FAST)
    assert done.code == 1
    assert f"Page: {page}" in done.err
    return page


def test_the_page_shows_every_bracket_what_failed_and_what_was_left(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r'<section class="bracket', text)) == 4
    assert text.count("<img ") == 4 * 3 + 3 - 1  # the broken frame has none, and its bracket no result
    assert "3 fused, 1 failed, 1 file that cannot be read, 1 shot left over. Model: average." in text
    assert '<section class="bracket failed"' in text
    assert "alone.jpg</td><td>it is alone in its folder" in text
    assert "none.png is not a picture mef knows" in text
    assert re.search(r'<a href="#bracket-\d"><bdi>room_1.jpg</bdi></a>', text)


def test_names_run_nothing_and_turn_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r"\udcff\x1b[31m\u202e0.jpg" in text
    assert "default-src 'none'" in text
    assert "script" not in text.partition("</style>")[2].replace("Description", "")
    sources = set(re.findall(r'src="([^"]{1,5})', text))
    assert sources == {"data:"}


def test_links_lead_to_the_results_whatever_their_names(page: Path) -> None:
    links = re.findall(r'<a href="([^"#]+)"', page.read_text(encoding="utf-8"))
    assert len(links) == 3
    for link in map(unescape, links):
        assert link.startswith("./")
        assert (page.parent / os.fsdecode(urllib.parse.unquote_to_bytes(link))).is_file()


def test_a_batch_that_goes_on_renews_its_page_without_opening_a_picture(
    mef: Mef, page: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(card / "broken")
    before = page.read_text(encoding="utf-8")
    monkeypatch.setattr(formats, "decode_reduced", None)
    done = mef("batch", card, "-o", tmp_path / "out", "--report", page, *FAST)
    assert done.code == 1  # none.png
    text = page.read_text(encoding="utf-8")
    assert "3 finished before" in text
    pictures = re.findall(r"data:image/jpeg[^\"]+", text)
    assert len(pictures) == 12
    assert set(pictures) <= set(re.findall(r"data:image/jpeg[^\"]+", before))


def test_brackets_finished_without_a_page_are_opened_for_it(mef: Mef, card: Path, tmp_path: Path) -> None:
    page = tmp_path / "later.html"
    assert mef("batch", card, "-o", tmp_path / "out", *FAST).code == 1
    mef("batch", card, "-o", tmp_path / "out", "--report", page, *FAST)
    assert page.read_text(encoding="utf-8").count("<img ") == 4 * 3 + 3 - 1


def test_pictures_of_an_earlier_result_are_not_shown_for_another(
    mef: Mef, page: Path, card: Path, tmp_path: Path
) -> None:
    before = set(re.findall(r"data:image/jpeg[^\"]+", page.read_text(encoding="utf-8")))
    other = ("--model", "mertens", *FAST[2:])
    assert mef("batch", card, "-o", tmp_path / "out", *other).code == 1  # without a page
    mef("batch", card, "-o", tmp_path / "out", "--report", page, *other)
    after = set(re.findall(r"data:image/jpeg[^\"]+", page.read_text(encoding="utf-8")))
    assert len(after - before) >= 1


def test_a_page_of_others_is_kept_and_one_of_its_own_renewed(
    mef: Mef, page: Path, card: Path, tmp_path: Path
) -> None:
    batch = ("batch", card, "-o", tmp_path / "out", "--report", page, *FAST)
    page.write_text("changed by hand")
    done = mef(*batch)
    assert done.code == 1
    assert f"{page} exists already" in done.err
    assert page.read_text() == "changed by hand"
    mef(*batch, "--overwrite")
    assert "Batch of 4 brackets" in page.read_text(encoding="utf-8")
    stranger = tmp_path / "stranger.html"
    stranger.write_text("a stranger's")
    done = mef("batch", card, "-o", tmp_path / "new", "--report", stranger, *FAST)
    assert done.code == 1
    assert not (tmp_path / "new").exists()  # told before anything was made
    assert stranger.read_text() == "a stranger's"


@pytest.mark.parametrize(
    ("name", "told"),
    [("page.txt", "should end in .html"), ("", "is no file|should end"), ("f/p.html", "is not a folder")],
)
def test_a_page_without_a_place_is_refused_before_the_work(
    mef: Mef, card: Path, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "f").write_bytes(b"")
    done = mef("batch", card, "-o", tmp_path / "out", "--report", tmp_path / name, *FAST)
    assert done.code in (1, 2)
    assert re.search(told, done.err)
    assert not (tmp_path / "out").exists()


def test_a_page_that_is_a_link_to_a_source_leaves_the_source(mef: Mef, card: Path, tmp_path: Path) -> None:
    source, page = card / "alone.jpg", tmp_path / "page.html"
    before = source.read_bytes()
    page.symlink_to(source)
    done = mef("batch", card, "-o", tmp_path / "out", "--report", page, "--overwrite", *FAST)
    assert done.code == 2
    assert "which is no page" in done.err
    assert source.read_bytes() == before
    page.unlink()
    page.symlink_to(tmp_path / "there.html")
    mef("batch", card, "-o", tmp_path / "out", "--report", page, "--overwrite", *FAST)
    assert page.is_symlink()
    assert (tmp_path / "there.html").is_file()


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    mef: Mef, page: Path, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page.read_bytes()
    settle = g.write_text.__globals__["settle"]

    def full(temporary: Path) -> None:
        if temporary.suffix == ".html":
            raise OSError(28, "No space left on device")
        settle(temporary)

    monkeypatch.setattr("mefcli.storage.settle", full)
    for _ in range(3):
        done = mef("batch", card, "-o", tmp_path / "out", "--report", page, *FAST)
        assert done.code == 1
        assert "The disk is full" in done.err
    assert page.read_bytes() == before
    assert sorted(path.name for path in page.parent.iterdir() if path.is_file()) == [JOURNAL, "index.html"]
    monkeypatch.undo()
    mef(
        "batch", card, "-o", tmp_path / "out", "--report", page, *FAST
    )  # the one that was announced, or the old
    assert "finished before" in page.read_text(encoding="utf-8")


def test_several_processes_bring_their_pictures_along(mef: Mef, card: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    mef("batch", card, "-o", tmp_path / "out", "--report", page, "--jobs", "2", *FAST)
    assert page.read_text(encoding="utf-8").count("<img ") == 4 * 3 + 3 - 1


def test_watching_keeps_the_page_fresh(mef: Mef, card: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    mef(
        *("batch", card, "-o", tmp_path / "out", "--report", page, *FAST),
        *("--watch", "--watch-idle", "4", "--gap", "0.5"),
    )
    assert "3 fused, 1 failed" in page.read_text(encoding="utf-8")


# ---- many brackets ----------------------------------------------------------------------------------------


def done_of(number: int, frames: int, folder: Path) -> Done:
    shots = tuple(Shot(folder / f"{'n' * 60}_{number}_{one}.jpg", "jpeg") for one in range(frames))
    bracket = Bracket(shots, tuple(float(one) for one in range(frames)), 0, "sorted by EXIF exposure")
    record = Record("house", None, {}, {}, 1.0, tuple(f"note {one} {'x' * 200}" for one in range(40)))
    return Done(bracket, (folder / f"{number}.tif",), record, (6000, 4000))


@pytest.mark.parametrize(("count", "frames"), [(300, 5), (300, 30), (1500, 9)])
def test_the_page_stays_within_its_bounds_whatever_the_pictures_hold(
    tmp_path: Path, count: int, frames: int
) -> None:
    """Noise is what JPEG packs worst."""
    rng = np.random.default_rng(0)
    result, frame = (
        coded(rng.integers(0, 256, (side * 2 // 3, side, 3), np.uint8)) for side in (RESULT_PX, FRAME_PX)
    )
    results = [done_of(number, frames, tmp_path) for number in range(count)]
    thumbs = {one.inputs[0]: (*([frame] * frames), result) for one in results}
    smaller_once: dict[tuple[bytes, int], bytes] = {}

    def once(picture: bytes, side: int) -> bytes:
        if (picture, side) not in smaller_once:
            smaller_once[picture, side] = smaller(picture, side)
        return smaller_once[picture, side]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(g, "smaller", once)
        page = g.gallery_page(g.Gallery(results, thumbs=thumbs), tmp_path)
    assert len(re.findall(r'<section class="bracket', page)) == count
    pictures = sum(len(one) for one in re.findall(r"data:image/jpeg;base64,([^\"]+)", page))
    assert 0 < pictures <= g.MOST_BYTES
    assert len(page) - pictures < count * 10_000


def test_tables_of_thousands_of_files_are_cut_and_say_so(tmp_path: Path) -> None:
    left = [(tmp_path / f"{number}.jpg", "alone") for number in range(5000)]
    page = g.gallery_page(g.Gallery([], left), tmp_path)
    assert "and 4000 more" in page
    assert "Batch of 0 brackets" in page


def test_bytes_that_are_no_picture_are_shown_as_none(tmp_path: Path) -> None:
    """A journal may be a stranger's."""
    assert smaller(b"no picture", 100) == smaller(b"", 100) == b""
    one = done_of(1, 2, tmp_path)
    page = g.gallery_page(g.Gallery([one], thumbs={one.inputs[0]: (b"", b"", b"")}), tmp_path)
    assert "<img" not in page
    failed = Failed((), OutputError("nothing"), None)
    assert "nothing" in g.gallery_page(g.Gallery([failed]), tmp_path)


def test_thumbnails_are_srgb_whatever_the_frames_are() -> None:
    from io import BytesIO

    from PIL import Image

    green = np.zeros((60, 90, 3), np.uint16)
    green[..., 1] = 40000
    with Image.open(BytesIO(thumb(green, formats.icc_profile("prophoto"), FRAME_PX))) as picture:
        assert "icc_profile" not in picture.info
        red, more_green, _ = np.asarray(picture)[30, 45]
    assert more_green > 156 + 20  # 40000 of 65535, further out than sRGB's own green
    assert red < 10


# ---- in a real browser ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (BROWSER and DRIVER):
        pytest.skip("NOT TESTED: the page in a real browser; chromium and chromedriver are not installed")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def test_a_browser_shows_every_picture_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.errors() == []
    browser.run("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    shown: Any = browser.run("return [...document.images].map(i => [i.complete && i.naturalWidth, i.alt])")
    assert len(shown) == 4 * 3 + 3 - 1
    assert all(width > 0 and words for width, words in shown)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return document.title") == "Batch of 4 brackets"
    headings = browser.run(
        "return [...document.querySelectorAll('section.bracket h2')].map(h => h.textContent)"
    )
    assert any(NASTY in heading for heading in headings)
    browser.click("nav a")
    assert browser.run("return location.hash").startswith("#bracket-")
    targets = browser.run("return [...document.querySelectorAll('figure.result a')].map(a => a.href)")
    assert all(target.startswith(page.parent.as_uri()) for target in targets)
