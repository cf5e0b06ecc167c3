"""Moving scenes by a network's word: `mef hdr --model mgdn-moving` and `--deghost mgdn`.

The network is the one that training begins with, which doubts what differs from the middle frame.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_deghost import PERSON, SCALES, SIZE, bracket, scene, stack_of
from toolkit import Mef

import mefcli
from mefcli import api
from mefcli.errors import MismatchError, ModelError, TooLargeError, UsageError
from mefcli.hdr.merge import Radiance
from mefcli.hdr.trust import Believed, Trust
from mefcli.job import Job
from mefcli.pipeline import light as stage
from mefcli.pipeline import moving
from mefcli.pipeline.deghost import deghost
from mefcli.pipeline.results import done_before, result_object
from mefnets import MODELS
from mefnets.engine.fuser import build_network
from mefnets.mgdn.light import LEAST as TAUGHT
from mefnets.mgdn.light import weighed

WALKED = (70, 160, 250)


@pytest.fixture(autouse=True)
def of_the_test(monkeypatch: pytest.MonkeyPatch, doubting: Path) -> None:
    monkeypatch.setenv("MEF_WEIGHTS", str(doubting.parent))
    moving.load.cache_clear()


@pytest.fixture
def walked(tmp_path: Path) -> list[Path]:
    return written(tmp_path, bracket(WALKED))


def written(folder: Path, frames: tuple[np.ndarray, ...]) -> list[Path]:
    from PIL import Image

    paths = [folder / f"{index + 1}.png" for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def test_trust_is_carried_up_between_the_middles_of_reduced_pixels() -> None:
    small = np.zeros((2, 2, 3), np.float32)
    small[1, 1] = [-3.0, 0.0, -9.0]
    rows = Trust(small, 4).rows(0, 8, 8)
    assert rows.shape == (8, 8, 3)
    np.testing.assert_allclose(rows[0, 0], 1)
    np.testing.assert_allclose(np.log(rows[7, 7]), [-3, 0, -9], atol=1e-5)
    np.testing.assert_allclose(np.log(rows[7, 3]), np.array([-3, 0, -9]) * 0.375, atol=1e-5)
    np.testing.assert_array_equal(rows[2:5], Trust(small, 4).rows(2, 5, 8))


def test_huge_trust_divides_nothing_by_zero() -> None:
    small = np.float32([[[0, 500, -500], [500, 0, -500]]])
    frames = tuple(np.full((4, 8, 3), level, np.uint8) for level in (60, 120, 240))
    radiance, _ = moving._radiance(stack_of(frames))
    told = {name: getattr(radiance, name) for name in Radiance.__dataclass_fields__}
    assert np.isfinite(Believed(**told, trust=Trust(small, 4)).whole()).all()


def test_the_light_is_the_one_that_the_network_was_taught_to_make() -> None:
    """What training computed in torch and what files hold are the same formula."""
    from mefcli.hdr import trust as ours

    assert ours.LEAST == TAUGHT
    radiance, _ = moving._radiance(stack_of(bracket(WALKED)))
    frames, lights = moving._seen(radiance, 1)
    word = np.random.default_rng(0).normal(0, 2, (*SIZE[::-1], 3)).astype(np.float32)
    told = {name: getattr(radiance, name) for name in Radiance.__dataclass_fields__}
    found = Believed(**told, trust=Trust(word, 1)).whole() * np.float32(
        2.0 ** radiance.evs[0] / radiance.curves.top
    )
    both = torch.from_numpy(np.concatenate((frames, lights), -1)).movedim(-1, 1)[None]
    expected = weighed(both, torch.from_numpy(word).movedim(-1, 0)[None])[0].movedim(0, -1)
    np.testing.assert_allclose(found, expected.numpy(), atol=2e-4)


def test_a_walker_is_in_the_light_once(walked: list[Path]) -> None:
    options = {"ev": [-2, 0, 2], "align": "off"}
    once = mefcli.radiance(written_still(walked), **options)
    ghosts = mefcli.radiance(walked, **options)
    found = mefcli.radiance(walked, model="mgdn-moving", **options)
    assert off(found, once) < 0.4 * off(ghosts, once)
    assert found.shape == once.shape


def off(light: np.ndarray, truth: np.ndarray) -> float:
    """Stops, on average, about the places where the person stood."""
    scene_ = scene(SIZE, SCALES)
    stood = sum(np.abs(PERSON.stands(scene_, x) - scene_).max(axis=2) for x in WALKED) > 0.01
    return float(np.abs(np.log2(np.maximum(light, 1e-4) / np.maximum(truth, 1e-4)))[stood].mean())


def written_still(walked: list[Path]) -> list[Path]:
    folder = walked[0].parent / "still"
    folder.mkdir()
    return written(folder, bracket((160, 160, 160)))


def test_the_command_names_the_network_and_its_weights(walked: list[Path], mef: Mef, tmp_path: Path) -> None:
    out = tmp_path / "scene.exr"
    run = mef("hdr", *walked, "--ev", "-2,0,2", "-o", out, "--model", "mgdn-moving", "--json")
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert told["model"] == "mgdn-moving"
    assert len(told["weights_sha256"]) == 64
    assert not any("may show twice" in note for note in told["warnings"])
    assert out.is_file()
    plain = mef("hdr", *walked, "--ev", "-2,0,2", "-o", tmp_path / "plain.exr", "--json")
    assert json.loads(plain.out)["model"] == "radiance"


@pytest.mark.parametrize(
    ("model", "words"),
    [("house", "fuses exposures"), ("mgdn-focus", "folds focus stacks"), ("mgdn-movin", "mgdn-moving")],
)
def test_models_for_other_pictures_are_refused(
    walked: list[Path], mef: Mef, tmp_path: Path, model: str, words: str
) -> None:
    run = mef("hdr", *walked, "--ev", "-2,0,2", "-o", tmp_path / "out.exr", "--model", model)
    assert run.code == (2 if model == "mgdn-movin" else 1)
    assert words in run.err
    assert not (tmp_path / "out.exr").exists()


def test_a_fusion_is_not_asked_of_a_network_for_light(walked: list[Path], mef: Mef, tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    run = mef("fuse", *walked, "--ev", "-2,0,2", "-o", out, "--model", "mgdn-moving")
    assert run.code == 1
    assert "Use mef hdr" in run.err


def test_without_weights_it_says_how_to_get_some(
    walked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mefcli import checkpoints

    monkeypatch.setattr(checkpoints, "weight_folders", lambda: iter([tmp_path]))
    for job in (Job(deghost="mgdn"), Job(model="mgdn-moving")):
        with pytest.raises(ModelError, match="no trained weights"):
            stage.make(api.plan(walked, ev=[-2, 0, 2]), job)


@pytest.mark.parametrize("options", [{"model": "mgdn-moving"}, {"deghost": "mgdn"}])
def test_other_numbers_of_frames_and_other_references_are_refused(
    walked: list[Path], options: dict[str, str]
) -> None:
    with pytest.raises(MismatchError, match=r"three frames.*here are 2"):
        mefcli.radiance(walked[:2], ev=[-2, 0], **options)
    with pytest.raises(UsageError, match=r"middle exposure's word.*not 1.png's"):
        mefcli.radiance(walked, ev=[-2, 0, 2], reference="1", **options)
    mefcli.radiance(walked, ev=[-2, 0, 2], reference="2", align="off", **options)


# ---- frames without ghosts -------------------------------------------------------------------------------

MGDN = Job(deghost="mgdn")


def test_frames_show_the_walker_where_the_middle_one_does() -> None:
    frames, truth = bracket(WALKED), bracket((160, 160, 160))
    done = deghost(stack_of(frames), MGDN)
    background = scene(SIZE, SCALES)
    stood = sum(np.abs(PERSON.stands(background, x) - background).max(axis=2) for x in WALKED) > 0.01
    for index in (0, 2):
        before = np.abs(frames[index].astype(float) - truth[index])[stood].mean()
        after = np.abs(done.frames[index].astype(float) - truth[index])[stood].mean()
        assert after < 0.4 * before
    assert done.frames[1] is frames[1]
    assert done.ghosts is not None
    assert done.ghosts.reference == 1
    assert done.ghosts.frames[0].boxes


def test_a_fusion_tells_the_weights_that_found_its_ghosts(
    mef: Mef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what a batch reads back from its journal, and the page."""
    monkeypatch.setattr(moving, "_radiance", lambda stack, known=moving._radiance: (known(stack)[0], True))
    paths = written(tmp_path, bracket(WALKED))
    out, page = tmp_path / "out.tif", tmp_path / "page.html"
    chosen = ("--ev", "-2,0,2", "-o", out, "--deghost", "mgdn", "--report", page, "--json")
    run = mef("fuse", *paths, *chosen)
    assert run.code == 0, run.err
    told = json.loads(run.out)
    assert told["deghost_weights_sha256"] == moving.load(device="auto").sha256
    assert told["deghost_weights_sha256"] in page.read_text(encoding="utf-8")
    again = done_before(api.plan(paths), [out], told)
    assert result_object(again)["deghost_weights_sha256"] == told["deghost_weights_sha256"]
    old = {key: value for key, value in told.items() if key != "deghost_weights_sha256"}
    assert result_object(done_before(api.plan(paths), [out], old))["deghost_weights_sha256"] is None


def test_what_agrees_keeps_its_bits() -> None:
    frames = bracket(WALKED)
    done = deghost(stack_of(frames), MGDN)
    for index in (0, 2):
        same = (done.frames[index] == frames[index]).all(axis=2)
        assert same[:, :20].mean() > 0.98
        assert same[:, 300:].mean() > 0.98


@pytest.mark.parametrize("depth", [8, 16])
def test_a_still_scene_stays_as_it_is(depth: int) -> None:
    frames = bracket((160, 160, 160), depth=depth)
    done = deghost(stack_of(frames), MGDN)
    for one, frame in zip(done.frames, frames, strict=True):
        assert one.dtype == frame.dtype
        assert (one == frame).mean() > 0.98


def test_large_frames_are_judged_small_and_stay_sharp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "WORKING_MP", SIZE[0] * SIZE[1] / 4e6)
    seen: list[int] = []
    plain = moving._seen

    def told(radiance: Radiance, factor: int) -> tuple[np.ndarray, np.ndarray]:
        seen.append(factor)
        return plain(radiance, factor)

    monkeypatch.setattr(moving, "_seen", told)
    radiance, _ = moving._radiance(stack_of(bracket((160, 160, 160))))
    light = moving.believed(radiance, moving.load()).whole()
    assert seen == [2]
    error = np.abs(np.log2(np.maximum(light, 1e-4) / np.maximum(radiance.whole(), 1e-4)))
    assert np.median(error) < 0.05


def test_weights_that_paint_the_light_are_for_small_pictures(tmp_path: Path, walked: list[Path]) -> None:
    path = tmp_path / "painting.safetensors"
    spec = replace(MODELS["mgdn-moving"], options={"task": "deghosting", "C": 12, "stages": 1, "blocks": 1})
    save(build_network(spec), path, '{"task": "deghosting", "C": 12, "stages": 1, "blocks": 1}')
    options = {"ev": [-2, 0, 2], "align": "off", "weights": str(path), "model": "mgdn-moving"}
    light = mefcli.radiance(walked, **options)
    assert light.shape == (*SIZE[::-1], 3)
    assert (light > 0).all()
    moving.load.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving, "PAINTED_MP", 0.01)
        with pytest.raises(TooLargeError, match="paint"):
            mefcli.radiance(walked, **options)


def save(network: torch.nn.Module, path: Path, options: str = "{}") -> None:
    from safetensors.torch import save_file

    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, {"model": "mgdn-moving", "options": options})


def test_where_pictures_are_made_a_network_for_light_is_refused(
    walked: list[Path], mef: Mef, tmp_path: Path
) -> None:
    chosen = ("--model", "mgdn-moving")
    for words in (
        ("batch", walked[0].parent, "-o", tmp_path / "out", *chosen),
        ("compare", *walked, "-o", tmp_path / "out.png", "--models", "mgdn-moving"),
        ("align", *walked, "-o", tmp_path / "out", "--deghost", "magic"),
    ):
        run = mef(*words)
        assert run.code in (1, 2), words
        assert "Use mef hdr" in run.err or "cannot be 'magic'" in run.err
    with pytest.raises(ModelError, match="finds the light"):
        mefcli.load_fuser("mgdn-moving")
    with pytest.raises(ModelError, match="finds the light"):
        list(mefcli.fuse_folder(walked[0].parent, tmp_path / "out", model="mgdn-moving"))


def test_a_plan_counts_the_network(walked: list[Path]) -> None:
    from mefcli.estimate import estimate

    bracket_ = api.plan(walked, ev=[-2, 0, 2])
    plain, found = (estimate(bracket_, [Path("a.tif")], Job(deghost=how)) for how in ("auto", "mgdn"))
    assert found.seconds["deghost"] > plain.seconds["deghost"]
    assert found.memory_mb > plain.memory_mb


def test_a_scene_that_changed_as_a_whole_is_told() -> None:
    dark, middle, bright = bracket((160, 160, 160))
    done = deghost(stack_of((dark, middle, np.roll(bright, 130, axis=1))), MGDN)
    assert any("the scene changed as a whole" in note for note in done.notes)
    assert not deghost(stack_of((dark, middle, bright)), MGDN).notes


def test_frames_whose_light_is_not_known_are_compared_and_that_is_said() -> None:
    stack = stack_of(bracket(WALKED))
    unknown = replace(stack, bracket=replace(stack.bracket, measured=True))
    done, plain = deghost(unknown, MGDN), deghost(unknown, Job(deghost="auto", reference="2"))
    assert any("found by comparing" in note for note in done.notes)
    assert done.ghosts is not None
    assert plain.ghosts is not None
    assert done.ghosts.frames[0].share == pytest.approx(plain.ghosts.frames[0].share, abs=0.05)


def test_light_by_a_guessed_response_is_told(walked: list[Path]) -> None:
    job = Job(model="mgdn-moving", align="off")
    for ev, guessed in (([-2, 0, 2], False), (None, True)):
        lit = stage.make(api.plan(walked, ev=ev), job)
        assert any("do not tell the camera's response" in note for note in lit.record.notes) == guessed
