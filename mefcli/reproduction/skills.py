"""What a network is said to do with pictures of a kind, seen with the weights that are there.

Pictures are simulated from the validation scenes of the training data: two under-exposed or two over-exposed
frames of each, two of any exposures, or three, whose well exposed picture is the reference; and pairs that
moved, with the reference picture that the supervised networks learn from.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from mefcli.errors import InputError
from mefcli.evaluation.metrics import score
from mefcli.reproduction.ablations import Finding, Judged, Say, Verdict
from mefcli.values import Pixels
from mefnets import ModelSpec
from mefnets.claims import Pictures, Skill

if TYPE_CHECKING:
    from mefcli.training.store import Store
    from mefnets.engine.fusion import Fusion

MEANS: dict[Pictures, tuple[tuple[float, float], ...]] = {  # of the frames, darkest first, of 255
    "two-under": ((12.0, 25.0), (36.0, 52.0)),
    "two-over": ((178.0, 195.0), (212.0, 226.0)),
    "ratios": ((20.0, 90.0), (130.0, 220.0)),
    "sequence": ((20.0, 45.0), (95.0, 130.0), (185.0, 220.0)),
}
RATIOS = 4  # pairs of each scene, each of two other exposures
WELL_EXPOSED = 117.0
MOVED, MOVED_PX = 60, 160
CERTAIN = 0.05  # a verdict is wrong by chance in so many cases at most


def pictures(data: Path, runs: Path, kinds: set[Pictures], say: Say) -> dict[Pictures, list[Judged]]:
    """Those of the kinds that are asked for."""
    from mefcli.training.prepare import data_at

    if not kinds:
        return {}
    store = data_at(data, runs / "cache", say)
    return {kind: moved(store) if kind == "moved" else exposed(store, kind) for kind in sorted(kinds)}


def exposed(store: Store, kind: Pictures, short_side_px: int = 224) -> list[Judged]:
    """Of each validation scene, frames whose means lie where the kind has them."""
    from mefcli.training.camera import SRGB, Camera
    from mefcli.training.exposure import ev_for_mean, mean_by_ev
    from mefcli.training.validate import one_of_each
    from mefcli.training.views import rng_of

    found = []
    for index, view in one_of_each(store, short_side_px):
        rng = rng_of(kind, store.entries[index].name)
        camera = Camera(SRGB, full_well=2e5, read_noise=3.0, jpeg_quality=95)
        means = mean_by_ev(camera, store.thumbs[index])
        for _ in range(RATIOS if kind == "ratios" else 1):
            wanted = (*(rng.uniform(*ends) for ends in MEANS[kind]), WELL_EXPOSED)
            *frames, well = (camera.shoot(view, ev_for_mean(means, mean), rng) for mean in wanted)
            found.append(Judged(tuple(frames), well))
    return found


def moved(store: Store, count: int = MOVED) -> list[Judged]:
    """Hand-held pairs with something that moves; the brighter frame stands where the reference does."""
    from mefcli.training.simulator import Simulator
    from mefcli.training.targets import TargetBook
    from mefnets.recipe import Data

    data = Data(crop_px=MOVED_PX, misaligned=1.0, target=True)
    simulator = Simulator(store, data, part="val", targets=TargetBook(store))
    found = []
    for sample in (simulator.sample(number) for number in range(count)):
        assert sample.target is not None
        reference = (np.clip(sample.target, 0, 1) * 255 + 0.5).astype(np.uint8)
        found.append(Judged((sample.frames[0], sample.frames[-1]), reference))
    return found


def check(
    spec: ModelSpec,
    skills: Sequence[Skill],
    scenes: Mapping[Pictures, Sequence[Judged]],
    device: str,
    say: Say = lambda words: None,
) -> list[Finding]:
    from mefcli import api
    from mefcli.checkpoints import find_model, is_ready

    found = []
    for skill in skills:
        names = [name for name in (skill.model or spec.name, skill.against) if name]
        missing = [name for name in names if not is_ready(find_model(name))]
        if missing:
            found.append(Finding(skill, "not measured", note=f"{missing[0]} has no weights here"))
            continue
        say(f"{' and '.join(names)}: {skill.pictures} pairs of {len(scenes[skill.pictures])} scenes.")
        fusers = [api.load_fuser(name, device=device) for name in names]
        if skill.pictures == "moved":
            found.append(nearer(skill, scenes["moved"], *fusers))
        elif skill.pictures == "ratios":
            found.append(structured(skill, scenes["ratios"], fusers[0]))
        elif skill.pictures == "sequence":
            found.append(informed(skill, scenes["sequence"], fusers[0]))
        else:
            found.append(beyond(skill, scenes[skill.pictures], fusers[0]))
    return found


def beyond(skill: Skill, scenes: Sequence[Judged], fuser: Fusion) -> Finding:
    """Whether results leave the brightness of both frames, and how far they come towards a good exposure."""
    rows = []
    for scene in scenes:
        fused = np.asarray(fuser.fuse(list(scene.frames), depth=8))
        means = [float(picture.mean()) / 255 for picture in (*scene.frames, fused)]
        assert scene.reference is not None
        rows.append((*means, _psnr(fused, scene), _explained(fused, scene)))
    dark, bright, result, psnr, residual = np.array(rows).T
    left = result > bright if skill.pictures == "two-under" else result < dark
    figures = {
        "scenes": float(len(rows)),
        "beyond_both": float(left.sum()),
        "darker_frame": float(dark.mean()),
        "brighter_frame": float(bright.mean()),
        "result": float(result.mean()),
        "least": float(result.min()),
        "most": float(result.max()),
        "psnr_to_well_exposed": float(psnr.mean()),
        "residual_levels": float(residual.mean()),
    }
    word = "brighter" if skill.pictures == "two-under" else "darker"
    note = (
        f"{word} than both in {left.sum()} of {len(rows)} simulated scenes: frames of {dark.mean():.2f} and "
        f"{bright.mean():.2f} in the mean, results of {result.mean():.2f} ({result.min():.2f} to "
        f"{result.max():.2f}; well exposed is {WELL_EXPOSED / 255:.2f}), {psnr.mean():.1f} dB from the well "
        f"exposed picture; a mix of the frames leaves {residual.mean():.0f} levels of them unexplained"
    )
    return Finding(skill, _by_count(int(left.sum()), len(rows)), note=note, figures=figures)


def structured(skill: Skill, scenes: Sequence[Judged], fuser: Fusion) -> Finding:
    """Whether pairs of any two exposures come out with more structure than the mean of both has."""
    rows = []
    for scene in scenes:
        fused = np.asarray(fuser.fuse(list(scene.frames), depth=8))
        mean = np.asarray(np.mean(np.stack(scene.frames), axis=0) + 0.5, np.uint8)
        rows.append([_measured("MEF_SSIM", picture, scene.frames) for picture in (fused, mean)])
    ours, plain = np.array(rows).T
    better = int((ours > plain).sum())
    figures = {
        "pairs": float(len(rows)),
        "better": float(better),
        "mef_ssim": float(ours.mean()),
        "least_mef_ssim": float(ours.min()),
        "mef_ssim_of_mean": float(plain.mean()),
    }
    note = (
        f"more structure than the mean of both frames has in {better} of {len(rows)} pairs of any exposures: "
        f"MEF-SSIM {ours.mean():.3f} (least {ours.min():.3f}) and {plain.mean():.3f}"
    )
    return Finding(skill, _by_count(better, len(rows)), note=note, figures=figures)


def informed(skill: Skill, scenes: Sequence[Judged], fuser: Fusion) -> Finding:
    """Whether a middle frame, fused in, adds information to what the two ends give."""
    rows = []
    for scene in scenes:
        all_of_them, ends = (
            np.asarray(fuser.fuse(list(frames), depth=8)) for frames in (scene.frames, scene.frames[::2])
        )
        values = [_measured("EN", one, scene.frames) for one in (all_of_them, ends)]
        rows.append([*values, *(_measured("MEF_SSIM", one, scene.frames) for one in (all_of_them, ends))])
    three, two, structure, structure_of_two = np.array(rows).T
    more, nearer_to_all = int((three > two).sum()), int((structure > structure_of_two).sum())
    figures = {
        "scenes": float(len(rows)),
        "more": float(more),
        "entropy": float(three.mean()),
        "entropy_of_two": float(two.mean()),
        "more_structure": float(nearer_to_all),
        "mef_ssim": float(structure.mean()),
        "mef_ssim_of_two": float(structure_of_two.mean()),
    }
    note = (
        f"of three frames entropy {three.mean():.2f}, of the two ends {two.mean():.2f}, more in {more} of "
        f"{len(rows)} scenes; MEF-SSIM with all three frames {structure.mean():.3f} and "
        f"{structure_of_two.mean():.3f}, more in {nearer_to_all}"
    )
    return Finding(skill, _by_count(more, len(rows)), note=note, figures=figures)


def nearer(skill: Skill, scenes: Sequence[Judged], fuser: Fusion, other: Fusion) -> Finding:
    """Whether one model comes nearer to the reference than the other, alone and behind an alignment."""
    rows = []
    for scene in scenes:
        fused = [np.asarray(one.fuse(list(scene.frames), depth=8)) for one in (fuser, other)]
        aligned = [_behind(scene, other, how) for how in ("flow", "auto")]
        rows.append([_psnr(picture, scene) for picture in (*fused, *aligned)])
    ours, theirs, flow, auto = np.array(rows).T
    better, than_flow, than_auto = (int((ours > one).sum()) for one in (theirs, flow, auto))
    figures = {
        "scenes": float(len(rows)),
        "better": float(better),
        "better_than_behind_flow": float(than_flow),
        "better_than_behind_auto": float(than_auto),
        "psnr": float(ours.mean()),
        "psnr_against": float(theirs.mean()),
        "psnr_behind_flow": float(flow.mean()),
        "psnr_behind_auto": float(auto.mean()),
    }
    note = (
        f"{skill.model} {ours.mean():.2f} dB to the reference, {skill.against} {theirs.mean():.2f}, behind "
        f"optical flow {flow.mean():.2f}, behind our alignment {auto.mean():.2f}; better in {better} of "
        f"{len(rows)} simulated pairs, than behind flow in {than_flow}, than behind alignment in {than_auto}"
    )
    return Finding(skill, _by_count(better, len(rows)), note=note, figures=figures)


def _behind(scene: Judged, fuser: Fusion, align: Literal["flow", "auto"]) -> Pixels:
    """What `mef fuse` makes of the pair with this model and that alignment."""
    import cv2

    from mefcli import api

    with tempfile.TemporaryDirectory(prefix="mef-") as place:
        paths = [Path(place) / f"{number}.png" for number in range(len(scene.frames))]
        for path, frame in zip(paths, scene.frames, strict=True):
            cv2.imwrite(str(path), frame[..., ::-1])
        fused = api.fuse(
            paths,
            ev=[float(number) for number in range(len(paths))],
            fuser=fuser,
            align=align,
            crop="reference",
            deghost="off",
            reference=paths[-1].name,
        )
    return np.asarray(np.clip(fused, 0, 1) * 255 + 0.5, np.uint8)


def _by_count(successes: int, trials: int) -> Verdict:
    """By the sign test."""
    if trials == 0:
        raise InputError("There is no scene to judge by.", "Pack the whole training folder.")

    def chance(least: int) -> float:
        ways = sum(math.comb(trials, k) for k in range(least, trials + 1))
        return float(ways / 2**trials)

    if chance(successes) < CERTAIN:
        return "holds"
    return "does not hold" if chance(trials - successes) < CERTAIN else "undecided"


def _measured(name: str, picture: Pixels, frames: Sequence[Pixels]) -> float:
    return float(score(picture, list(frames), names=[name])[name])


def _psnr(picture: Pixels, scene: Judged) -> float:
    return float(score(picture, scene.frames, names=["PSNR_GT"], reference=scene.reference)["PSNR_GT"])


def _explained(picture: Pixels, scene: Judged) -> float:
    """What the best mix of both frames leaves of the result, in levels."""
    import torch

    from mefcli.training.validate import linear_residual

    frames = torch.from_numpy(np.stack([frame.mean(-1) for frame in scene.frames])) / 255
    return linear_residual(frames, torch.from_numpy(picture.mean(-1)) / 255)
