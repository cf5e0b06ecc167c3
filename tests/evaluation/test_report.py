"""The contact sheet, the page in a real browser, and thumbnails for terminals."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from mefcli import api
from mefcli.cli.app import run
from mefcli.report.comparison import Comparison, compare, telling_crops
from mefcli.report.html import report_page, write_comparison, write_report
from mefcli.report.images import histogram, to_eight_bits
from mefcli.report.sheet import make_sheet
from mefcli.report.terminal import ability, thumbnail_row
from mefcli.storage import write_text
from mefcli.values import Alignment, Bracket, Ghost, Ghosts, Placed, Record, Shot
from mefnets import MODELS
from mefnets.classic.mertens import streams
from mefnets.engine.graphs import GraphFuser
from tests.evaluation.vector import make_vector
from tests.evaluation.webdriver import BROWSER, DRIVER, Browser

DARK, BRIGHT, FUSED = make_vector(240, 320)
NASTY = "<img src=x onerror=alert(1)>&\"'.jpg"


def make_bracket() -> Bracket:
    shots = tuple(
        Shot(Path(name), "jpeg", (320, 240), time, 8.0, 100.0, taken_at=datetime(2024, 5, 1), camera=NASTY)
        for name, time in (("dark.jpg", 0.001), (NASTY, 0.25))
    )
    return Bracket(shots, (-2.0, 2.0), 0, f"named {NASTY}")


def make_page() -> str:
    record = Record("mertens", "ab" * 32, {"align": NASTY}, {"read": 0.1, "fuse": 0.4}, 321.0, (NASTY,))
    turned = np.array([[1, 0.001, 3], [0, 1, 1], [0, 0, 1]])
    placed = (
        Placed("rigid", turned, 0.9, 0.01, 3.2, 1, True),
        Placed("identity", np.eye(3), 1.0, 0.0, 0.0, 1, True),
    )
    alignment = Alignment(placed, (0, 0, 320, 240))
    edges = (((10, 20), (60, 20), (35, 80)), ((30, 30), (40, 30), (35, 40)))
    ghosts = Ghosts(0, (Ghost(), Ghost(0.02, ((10, 20, 60, 80),), edges)))
    return report_page(make_bracket(), [DARK, BRIGHT], FUSED, record, alignment, ghosts)


def test_a_model_of_the_caller_s_own_has_a_page_too(tmp_path: Path) -> None:
    paths = [tmp_path / "dark.png", tmp_path / "bright.png"]
    for path, pixels in zip(paths, (DARK, BRIGHT), strict=True):
        cv2.imwrite(str(path), pixels[..., ::-1])
    mine = GraphFuser(replace(MODELS["mertens"], name="mine"), streams())
    result = api.fuse_files(paths, [tmp_path / "fused.png"], ev=[-2, 2], fuser=mine)
    write_report(tmp_path / "page.html", result)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Exposure fusion report" in page
    assert "mine" in page


def make_comparison() -> Comparison:
    other = FUSED.copy()
    other[120:170, 200:260] = 255 - other[120:170, 200:260]
    makers = {"average": lambda frames: FUSED, "other": lambda frames: other}
    return compare(
        [DARK, BRIGHT], ["dark.jpg  -2.0 EV", "bright.jpg  +2.0 EV"], makers, bracket=make_bracket()
    )


def test_crops_are_taken_where_results_differ_most() -> None:
    comparison = make_comparison()
    boxes = telling_crops([one.pixels for one in comparison.results])
    left, top, right, bottom = boxes[0]
    assert left < 260
    assert right > 200
    assert top < 170
    assert bottom > 120


def test_crops_of_equal_results_are_none() -> None:
    assert telling_crops([FUSED, FUSED]) == []


def test_the_sheet_holds_inputs_results_and_words(tmp_path) -> None:
    sheet = make_sheet(make_comparison(), 1200)
    assert sheet.shape[1] == 1200
    assert sheet.shape[0] > 600
    # The results are there, in their places: the two large pictures differ only where they were made to.
    assert (sheet < 60).any(axis=2).mean() > 0.02


def test_the_sheet_also_takes_one_result_and_many_inputs() -> None:
    frames = [DARK, DARK, FUSED, BRIGHT, BRIGHT, BRIGHT, BRIGHT]
    comparison = compare(
        frames, [f"a long file name number {i}.jpg" for i in range(7)], {"m": lambda f: FUSED}
    )
    assert make_sheet(comparison, 900).shape[1] == 900


def test_histograms_count_every_pixel_once() -> None:
    shares = histogram(FUSED)
    assert shares.shape == (3, 64)
    assert shares.sum(1) == pytest.approx([1, 1, 1])


def test_sixteen_bits_become_eight_by_rounding() -> None:
    assert to_eight_bits(np.array([0, 128, 129, 65535], np.uint16)).tolist() == [0, 0, 1, 255]


def test_the_page_escapes_every_word_from_files() -> None:
    page = make_page()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = make_page()
    addresses = re.findall(r'(?:src|href)="([^"]{1,5})', page)
    assert addresses
    assert set(addresses) == {"data:"}
    assert "default-src 'none'" in page
    assert not re.search(r"https?://", page)


def test_the_page_tells_exposures_alignment_ghosts_settings_and_times() -> None:
    page = make_page()
    for words in ("1/1000 s", "f/8", "moved 3.2 px", "2.0% replaced", "0.40 s", "321 MB", "2024-05-01"):
        assert words in page, words
    # Of a picture 320 px wide: a region and the hole in it.
    assert 'd="M3.12 6.25L18.75 6.25L10.94 25.00ZM9.38 9.38L12.50 9.38L10.94 12.50Z"' in page


def test_an_interrupted_write_leaves_the_old_page(tmp_path, monkeypatch) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")

    def broken(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(Exception, match="disk is full"):
        write_text(page, "new")
    assert page.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


# ---- in a real browser -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (BROWSER and DRIVER):
        pytest.skip("NOT TESTED: the page in a real browser; chromium and chromedriver are not installed")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(make_page(), encoding="utf-8")
    browser.open(path)
    return browser


CUT = "return parseFloat(getComputedStyle(document.getElementById('sheet')).getPropertyValue('--cut'))"


def test_the_slider_moves_by_keyboard(page) -> None:
    before = page.run(CUT)
    page.type("#slider", "\ue014" * 8)  # arrow right
    assert page.run(CUT) > before
    clip = page.run("return getComputedStyle(document.getElementById('before')).clipPath")
    assert clip.startswith("inset(")


def test_the_slider_label_tells_what_it_shows(page) -> None:
    words = page.run("return document.getElementById('slider').getAttribute('aria-valuetext')")
    assert "dark.jpg" in words


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_the_handle_can_be_dragged(page, kind) -> None:
    page.run("document.getElementById('slider').value=50;"
             "document.getElementById('slider').dispatchEvent(new Event('input'))")  # fmt: skip
    page.drag("#handle", -60, kind)
    assert page.run(CUT) < 45


def test_zoom_to_100_percent_shows_every_pixel(page) -> None:
    page.click("#full")
    assert page.run("return document.getElementById('sheet').offsetWidth") == 320
    page.click("#closer")
    page.click("#closer")
    assert page.run("return document.getElementById('sheet').offsetWidth") == 720
    assert page.run("return document.getElementById('percent').textContent") == "225 %"
    page.type("#stage", "0")
    assert page.run("return document.getElementById('fit').getAttribute('aria-pressed')") == "true"


def test_another_frame_can_be_chosen(page) -> None:
    page.run("const s=document.getElementById('left'); s.value='1'; s.dispatchEvent(new Event('change'))")
    assert page.run("return document.getElementById('before').alt").startswith("<img src=x")


def test_every_control_has_a_name_and_the_page_does_not_scroll_sideways(page) -> None:
    nameless = page.run(
        "return [...document.querySelectorAll('button,select,input,svg,img')].filter(e =>"
        " !(e.ariaLabel || e.alt || e.labels?.length || e.textContent.trim())).length"
    )
    assert nameless == 0
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_the_console_stays_silent_and_no_script_of_a_name_runs(page) -> None:
    assert page.errors() == []


def test_the_comparison_page_works_too(browser, tmp_path) -> None:
    path = tmp_path / "compare.html"
    write_comparison(path, make_comparison())
    browser.open(path)
    assert browser.run("return document.querySelectorAll('#left option').length") == 4
    assert browser.errors() == []


# ---- terminals -------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "how"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1", "TMUX": "x", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none"),
        ({"TERM": "vt100"}, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
    ],
)
def test_the_terminal_is_known_by_its_environment(env, how) -> None:
    assert ability(Terminal(), env) == how


def test_a_pipe_gets_no_thumbnails() -> None:
    assert ability(io.StringIO(), {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}) == "none"
    assert thumbnail_row([FUSED], how="none") == ""


def test_blocks_fit_the_columns_and_end_in_plain_colours() -> None:
    text = thumbnail_row([DARK, FUSED, BRIGHT], how="blocks", columns=40)
    lines = text.splitlines()
    assert all(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) <= 40 for line in lines)
    assert all(line.endswith("\x1b[0m") for line in lines)


def test_kitty_pictures_are_png_in_whole_pieces() -> None:
    import base64

    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", thumbnail_row([DARK, FUSED], how="kitty"))
    assert pieces[0][0].startswith("a=T,f=100")
    assert pieces[-1][0].endswith("m=0")
    data = base64.b64decode("".join(data for _, data in pieces))
    assert data.startswith(b"\x89PNG")


def test_sixel_runs_repeat_what_was_drawn() -> None:
    from mefcli.report.terminal import _runs

    assert _runs([1, 1, 2, 2, 2, 2, 2, 0]) == "@@!5A?"
    text = thumbnail_row([DARK], how="sixel", height_px=24)
    assert text.startswith("\x1bP0;1q")
    assert text.endswith("\x1b\\\n")


# ---- the commands ----------------------------------------------------------------------------------------


@pytest.fixture
def bracket_files(tmp_path: Path) -> list[str]:
    from PIL import Image

    names = []
    for index, pixels in enumerate((DARK, FUSED, BRIGHT)):
        path = tmp_path / f"frame {index} <b>é.png"
        Image.fromarray(pixels).save(path)
        names.append(str(path))
    return names


def test_compare_writes_sheet_page_and_json(bracket_files, tmp_path, capsys) -> None:
    import json

    sheet, page = tmp_path / "sheet.jpg", tmp_path / "page.html"
    command = [
        "compare",
        *bracket_files,
        "--ev",
        "-2,0,2",
        "--models",
        "average,mertens",
        "--megapixels",
        "0.05",
    ]
    command += ["-o", str(sheet), "--report", str(page), "--quiet"]
    assert run([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in result["models"]] == ["average", "mertens"]
    assert all(0 < model["scores"]["MEF_SSIM"] <= 1 for model in result["models"])
    assert sheet.read_bytes().startswith(b"\xff\xd8")
    assert "&lt;b&gt;" in page.read_text(encoding="utf-8")
    assert run(command) == 1  # what exists is kept
    assert "--overwrite" in capsys.readouterr().err


def test_compare_shows_a_table_of_models(bracket_files, capsys) -> None:
    assert run(["compare", *bracket_files, "--ev", "-2,0,2", "--models", "average", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "average" in out
    assert "MEF_SSIM ↑" in out


def test_fuse_writes_a_report_beside_the_picture(bracket_files, tmp_path) -> None:
    page = tmp_path / "fused.html"
    command = ["fuse", *bracket_files, "--ev", "-2,0,2", "-m", "average", "-o", str(tmp_path / "out.tif")]
    assert run([*command, "--report", str(page), "--quiet"]) == 0
    text = page.read_text(encoding="utf-8")
    assert "Fused (average)" in text
    assert "+2.0" in text


def test_a_report_never_replaces_a_source(bracket_files, tmp_path, capsys) -> None:
    command = ["fuse", *bracket_files, "--ev", "-2,0,2", "-o", str(tmp_path / "out.tif"), "--overwrite"]
    assert run([*command, "--report", bracket_files[0]]) == 2
    assert not (tmp_path / "out.tif").exists()


def test_frames_are_cut_like_the_result_even_when_reduced() -> None:
    from mefcli.report.html import cropped

    frame = np.zeros((100, 200, 3), np.uint8)
    frame[20:60, 50:150] = 255
    assert (cropped(frame, (400, 200), (100, 40, 300, 120), (50, 20)) == 255).all()
