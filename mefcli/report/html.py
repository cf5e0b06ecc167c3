"""Reports as HTML pages, from a pipeline result or from a comparison.

mef fuse ... --report out.html        write_report(path, done)
mef compare ... --report out.html     write_comparison(path, comparison)
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mefcli.report.images import Bytes, fitted, to_eight_bits
from mefcli.report.lost import SMALLEST_PX, lost_section
from mefcli.report.page import Item, Section, build_page, cards, table
from mefcli.report.pair import ROLES, pair_section
from mefcli.report.sharp import most_used, sharp_section
from mefcli.storage import write_text

if TYPE_CHECKING:
    from mefcli.pipeline.results import Done
    from mefcli.report.comparison import Comparison
    from mefcli.values import Alignment, Bracket, Fused, Ghosts, Matrix, Placed, Record, Sharp
    from mefnets.spec import Task

MAX_SIDE_PX = 2400  # six such pictures make a page of about 6 MB
TITLES: dict[Task, str] = {
    "exposure": "Exposure fusion report",
    "focus": "Focus stack report",
    "infrared": "Visible and infrared report",
}


def exposure_words(shutter_s: float | None) -> str:
    if not shutter_s:
        return "–"
    return f"1/{1 / shutter_s:.0f} s" if shutter_s < 0.3 else f"{shutter_s:g} s"


def exposures(bracket: Bracket) -> Section:
    rows = []
    for index, (shot, ev) in enumerate(zip(bracket.shots, bracket.evs, strict=True)):
        name = shot.path.name + (" (reference)" if index == bracket.reference else "")
        aperture = f"f/{shot.aperture:g}" if shot.aperture else "–"
        iso = f"{shot.iso:g}" if shot.iso else "–"
        rows.append((name, f"{ev:+.1f}", exposure_words(shot.exposure_s), aperture, iso))
    body = table(("frame", "EV", "shutter", "aperture", "ISO"), rows)
    return Section("Exposures", body + f'<p class="small">{escape(bracket.why)}</p>')


def _metadata(bracket: Bracket) -> Section:
    shot = bracket.shots[bracket.reference]
    taken = shot.taken_at.isoformat(" ") if shot.taken_at else None
    size = f"{shot.size_px[0]}×{shot.size_px[1]}" if shot.size_px else None
    focal = f"{shot.focal_mm:g} mm" if shot.focal_mm else None
    facts = {"Camera": shot.camera, "Lens": shot.lens, "Focal length": focal, "Taken": taken, "Size": size}
    facts |= {"Kind": shot.kind, "Colour profile": shot.icc_name}
    return Section("Metadata", table(("", ""), [(k, v) for k, v in facts.items() if v], numbers=False))


def _record(record: Record) -> list[Section]:
    settings: dict[str, Any] = {"Model": record.model}
    if record.weights_sha256:
        settings["Weights SHA-256"] = record.weights_sha256
    settings |= {str(k).replace("_", " "): v for k, v in record.settings.items()}
    sections = [Section("Settings", table(("", ""), list(settings.items()), numbers=False))]
    if record.seconds:
        rows = [(stage, f"{taken:.2f} s") for stage, taken in record.seconds.items()]
        rows.append(("together", f"{sum(record.seconds.values()):.2f} s"))
        if record.peak_memory_mb:
            rows.append(("peak memory", f"{record.peak_memory_mb:.0f} MB"))
        sections.append(Section("Time", table(("", ""), rows)))
    if record.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in record.notes)
        sections.append(Section("Notes", f"<ul>{notes}</ul>"))
    return sections


def _vectors(matrix: Matrix, width: int, height: int) -> str:
    """Where a grid of points of a frame went, drawn ten times longer than it is."""
    across, down = np.meshgrid(np.linspace(0.1, 0.9, 7) * width, np.linspace(0.1, 0.9, 5) * height)
    points = np.stack([across.ravel(), down.ravel(), np.ones(35)])
    moved = matrix @ points
    moved = moved[:2] / moved[2]
    unit = 100 / width
    drawn = []
    for (x, y), (u, v) in zip(points[:2].T * unit, (moved - points[:2]).T * unit * 10, strict=True):
        drawn.append(f'<line x1="{x:.2f}" y1="{y:.2f}" x2="{x + u:.2f}" y2="{y + v:.2f}"/>')
        drawn.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r=".7"/>')
    return _map("".join(drawn), height * unit, "Motion of the frame, ten times longer than it was")


def _regions(outlines: Sequence[Sequence[Sequence[float]]], width: int, height: int) -> str:
    """What was replaced, by its edges; one inside another is a hole."""
    unit = 100 / width
    edges = ("L".join(f"{x * unit:.2f} {y * unit:.2f}" for x, y in edge) for edge in outlines)
    drawn = "".join(f"M{edge}Z" for edge in edges)
    return _map(f'<path fill-rule="evenodd" d="{drawn}"/>', height * unit, "Where things moved")


def _map(drawn: str, height: float, label: str) -> str:
    return (
        f'<svg class="map" viewBox="0 0 100 {height:.2f}" role="img" aria-label="{label}">'
        f'<rect class="edge" width="100" height="{height:.2f}"/>{drawn}</svg>'
    )


def _findings(
    names: Sequence[str], alignment: Alignment | None, ghosts: Ghosts | None, size: tuple[int, int]
) -> list[Section]:
    """Drawings and tables of what alignment and ghost removal found; nothing where they did not run."""
    sections = []
    if alignment:
        figures = [
            (_vectors(one.matrix, *size), _words(name, one))
            for name, one in zip(names, alignment.placed, strict=True)
        ]
        sections.append(Section("Alignment", cards(figures)))
    if ghosts:
        figures = [
            (_regions(one.outlines, *size), f"{name}: {one.share:.1%} replaced")
            for name, one in zip(names, ghosts.frames, strict=True)
        ]
        body = cards(figures)
        if ghosts.weights_sha256:
            body += (
                f'<p class="small">Found by a network; its weights have SHA-256 {ghosts.weights_sha256}.</p>'
            )
        sections.append(Section("Ghosts", body))
    return sections


def _words(name: str, one: Placed) -> str:
    if not one.trusted:
        return f"{name}, kept in place"
    if one.kept_identity:
        return f"{name}, not moved ({one.moved_px:.1f} px off)"
    return f"{name}, moved {one.moved_px:.1f} px, {one.model}"


def cropped(
    frame: NDArray[Any], whole: tuple[int, int] | None, box: Sequence[int] | None, size: tuple[int, int]
) -> NDArray[Any]:
    """A source frame cut like the result and brought to `size`, so that both lie over each other.

    `whole` is the source's own width and height, in which `box` counts; the frame itself may be reduced.
    """
    import cv2

    if box is not None:
        across = frame.shape[1] / whole[0] if whole else 1.0
        down = frame.shape[0] / whole[1] if whole else 1.0
        x0, x1 = (round(v * across) for v in (box[0], box[2]))
        y0, y1 = (round(v * down) for v in (box[1], box[3]))
        frame = frame[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if (frame.shape[1], frame.shape[0]) != size:
        frame = cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA)
    return to_eight_bits(frame)


def report_page(
    bracket: Bracket,
    frames: Sequence[NDArray[Any]],
    result: NDArray[Any],
    record: Record,
    alignment: Alignment | None = None,
    ghosts: Ghosts | None = None,
    icc: bytes | None = None,
    sharp: Sharp | None = None,
    second: bytes | None = None,
    task: Task = "exposure",
) -> str:
    """The page of one fusion. Frames are whole, as before a crop, and may be reduced. `second` is the JPEG of
    the result's gain map.

    Of a focus stack, which may be long, `frames` are those that `most_used` names; a thermal frame is grey.
    """
    used = range(len(bracket.shots)) if sharp is None else most_used(sharp)
    size = (result.shape[1], result.shape[0])
    scale = min(1.0, MAX_SIDE_PX / max(size))
    shown = _fit(result)
    fit = (shown.shape[1], shown.shape[0])
    items = []
    for index, frame in zip(used, frames, strict=True):
        shot = bracket.shots[index]
        cut = cropped(frame, shot.size_px, alignment.box if alignment else None, fit)
        words = f"{bracket.evs[index]:+.1f} EV" if sharp is None else f"{sharp.shares[index]:.0%}"
        words = ROLES[index] if task == "infrared" else words
        items.append(Item(f"{shot.path.name} ({words})", cut, False, icc))
    items.append(Item(f"Fused ({record.model})", shown, True, icc))
    plain = tuple(items)
    if second is not None:
        items.append(Item(f"Fused ({record.model}), with light beyond white", shown, True, icc, second))
    names = [path.name for path in bracket.paths]
    found = _findings(names, alignment, ghosts, size)
    if task == "infrared":
        judged = [pair_section(items[0].pixels, shown)]
    else:
        judged = [exposures(bracket), *(_lost(plain) if sharp is None else [sharp_section(names, sharp)])]
    sections = [*judged, *found, *_record(record), _metadata(bracket)]
    name = bracket.paths[bracket.reference].name
    what = " and ".join(names) if task == "infrared" else f"{len(names)} frames of {name}"
    lead = f"{what} fused with {record.model} into {size[0]}×{size[1]} pixels."
    return build_page(TITLES[task], lead, items, sections, scale)


def _lost(items: Sequence[Item]) -> list[Section]:
    """What the results lost of the exposures; nothing for pictures too small to measure."""
    if len(items) < 3 or min(items[0].pixels.shape[:2]) < SMALLEST_PX:
        return []
    frames = [item.pixels for item in items if not item.is_result]
    return [lost_section(frames, [(item.label, item.pixels) for item in items if item.is_result])]


def _fit(pixels: NDArray[Any]) -> Bytes:
    return fitted(pixels, MAX_SIDE_PX)


def write_report(path: Path, result: Done | Fused) -> None:
    """The report of one fusion, as `mef fuse --report` calls it once the outputs are written:

        write_report(report, api.fuse_bracket(bracket, outputs, job=job))

    A `Done` names its output, which is read again together with the sources; a `Fused` has its pixels.
    """
    from mefcli import formats
    from mefcli.checkpoints import known_models

    bracket = result.bracket
    known = known_models().get(result.record.model)  # None: a model of the caller's own
    task: Task = known.task if known else "exposure" if result.sharp is None else "focus"
    raws = [shot for shot in bracket.shots if shot.kind == "raw"]
    chosen = result.record.settings
    development = (
        formats.bracket_development(
            raws,
            wb=chosen.get("raw_wb", "camera"),
            space=chosen.get("raw_space", "srgb"),
            highlights=chosen.get("raw_highlights", "clip"),
        )
        if raws
        else None
    )
    # A little more than is shown: what a crop takes away must not cost sharpness.
    side = round(MAX_SIDE_PX * 1.1)
    used = bracket.shots if result.sharp is None else [bracket.shots[i] for i in most_used(result.sharp)]
    frames = [
        formats.decode_reduced(shot.path, side, development if shot.kind == "raw" else None).pixels
        for shot in used
    ]
    if task == "infrared":
        from mefcli.pipeline.infrared import as_laid

        frames[1] = as_laid(frames[0], frames[1], align=chosen.get("align", "auto"))
    pixels, icc, second = _shown(result)
    page = report_page(
        bracket,
        frames,
        pixels,
        result.record,
        result.alignment,
        result.ghosts,
        icc,
        result.sharp,
        second,
        task,
    )
    write_text(Path(path), page)


def _shown(result: Done | Fused) -> tuple[NDArray[Any], bytes | None, bytes | None]:
    """A result's picture, its profile and the JPEG of its gain map, where there is one."""
    from mefcli import formats
    from mefcli.formats.gainmap import map_jpeg
    from mefcli.formats.gainmap_reader import read_map_jpeg
    from mefcli.formats.table import WRITTEN
    from mefcli.values import Fused

    if isinstance(result, Fused):
        return result.pixels, result.icc, None if result.gains is None else map_jpeg(result.gains)
    seconds = [read_map_jpeg(path) for path in result.outputs] if result.gain_map is not None else []
    ways = [WRITTEN[path.suffix.lower()].hdr == "light" for path in result.outputs]
    picture = formats.decode(result.outputs[ways.index(False) if False in ways else 0])  # not the bright one
    return picture.pixels, picture.icc, next(filter(None, seconds), None)


def write_comparison(path: Path, comparison: Comparison) -> None:
    """The page of `mef compare --report`: every exposure and every model, and the metrics."""
    from mefcli.evaluation.metrics import METRICS

    items = [Item(label, _fit(p), False) for label, p in comparison.inputs]
    items += [Item(one.name, _fit(one.pixels), True) for one in comparison.results]
    names = [one.name for one in comparison.results]
    rows = []
    for metric in comparison.results[0].scores:
        cells = [f"{one.scores[metric]:.{METRICS[metric].decimals}f}" for one in comparison.results]
        rows.append((f"{metric} {METRICS[metric].arrow}", *cells))
    times = table(("", ""), [(one.name, f"{one.seconds:.2f} s") for one in comparison.results])
    exposed = "MEF_SSIM" in comparison.results[0].scores  # frames of one exposure lose nothing so
    judged = _lost(items) if exposed else []
    sections = [Section("Metrics", table(("metric", *names), rows)), *judged, Section("Time", times)]
    if comparison.bracket is not None:
        sections += [exposures(comparison.bracket), _metadata(comparison.bracket)]
    height, width = comparison.results[0].pixels.shape[:2]
    what = "bracket" if exposed else "scene"
    lead = f"{len(names)} models on one {what} of {len(comparison.inputs)} frames, {width}×{height} pixels."
    scale = min(1.0, MAX_SIDE_PX / max(height, width))
    write_text(Path(path), build_page("Comparison of models", lead, items, sections, scale))
