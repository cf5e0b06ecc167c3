"""One self-contained HTML page about a fusion: no network, every word escaped, every picture inside.

The page wants `Item`s (pictures with words) and `Section`s (tables and drawings); `html.py` makes them from
a pipeline result or from a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from mefcli.report.images import Bytes, clipping, data_address, histogram_svg

# One transparent pixel: what is shown until the script has chosen a picture.
EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


@dataclass(frozen=True)
class Item:
    """A picture on the page: an exposure or a result, all of one size."""

    label: str
    pixels: Bytes
    is_result: bool
    icc: bytes | None = None


@dataclass(frozen=True)
class Section:
    title: str
    body: str  # HTML, escaped by whoever made it


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], numbers: bool = True) -> str:
    """An HTML table; the first column is words, the others are numbers unless told otherwise. Escapes."""
    kind = ' class="number"' if numbers else ""
    head = "".join(f"<th{kind if i else ''} scope=col>{escape(str(h))}</th>" for i, h in enumerate(header))
    lines = []
    for row in rows:
        cells = "".join(f"<td{kind if i else ''}>{escape(str(c))}</td>" for i, c in enumerate(row))
        lines.append(f"<tr>{cells}</tr>")
    thead = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return f'<div class="scroll" tabindex="0"><table>{thead}<tbody>{"".join(lines)}</tbody></table></div>'


def cards(figures: Sequence[tuple[str, str]]) -> str:
    """A grid of drawings with captions; captions are escaped here, drawings are HTML."""
    return (
        '<div class="cards">'
        + "".join(
            f'<figure class="card">{drawing}<figcaption>{escape(words)}</figcaption></figure>'
            for drawing, words in figures
        )
        + "</div>"
    )


def _histograms(items: Sequence[Item]) -> Section:
    figures = []
    for item in items:
        black, white = clipping(item.pixels)
        drawing = histogram_svg(item.pixels, escape(f"Histogram of {item.label}"))
        figures.append((drawing, f"{item.label}: {black:.1%} black, {white:.1%} clipped"))
    return Section("Histograms", cards(figures))


def _options(items: Sequence[Item], chosen: int) -> str:
    return "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{escape(item.label)}</option>'
        for i, item in enumerate(items)
    )


def build_page(
    title: str, lead: str, items: Sequence[Item], sections: Sequence[Section], scale: float
) -> str:
    """The whole page. `scale` is the embedded size over the real one, 1 where pictures are whole."""
    assets = files("mefcli.report")
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = (assets / "page.js").read_text(encoding="utf-8")
    height, width = items[0].pixels.shape[:2]
    results = [i for i, item in enumerate(items) if item.is_result]
    right = results[0] if results else len(items) - 1
    left = results[1] if len(results) > 1 else max(0, (len(items) - 2) // 2)
    sources = "".join(
        f'<img id="picture-{i}" alt="{escape(item.label)}" src="{data_address(item.pixels, item.icc)}">'
        for i, item in enumerate(items)
    )
    size_note = (
        "Pictures are embedded whole: 100 % shows every pixel."
        if scale >= 1
        else f"Pictures are embedded at {scale:.0%} of their size, {width}×{height} pixels."
    )
    body = "".join(
        f"<section><h2>{escape(s.title)}</h2>{s.body}</section>" for s in (_histograms(items), *sections)
    )
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>
<main>
<section aria-label="Comparison">
<div class="bar">
<label>Left <select id="left">{_options(items, left)}</select></label>
<label>Right <select id="right">{_options(items, right)}</select></label>
<div class="group" role="group" aria-label="Zoom">
<button id="fit" type="button">Fit</button><button id="full" type="button">100 %</button>
<button id="farther" type="button" aria-label="Zoom out">−</button>
<button id="closer" type="button" aria-label="Zoom in">+</button>
<output id="percent" aria-live="polite"></output>
</div>
</div>
<div id="stage" class="stage" tabindex="0" role="region" aria-label="Pictures, scrollable">
<div id="sheet" class="sheet" data-width="{width}" data-height="{height}">
<img id="after" alt="" src="{EMPTY}">
<img id="before" class="before" alt="" src="{EMPTY}">
<div id="handle" class="handle" aria-hidden="true"></div>
</div>
</div>
<input id="slider" type="range" min="0" max="100" step="0.5" value="50"
 aria-label="Boundary between left and right">
<p class="small">{size_note} Drag the handle or the slider; arrow keys move it.
Keys: + − zoom, 0 fit, 1 100 %.</p>
</section>
{body}
</main>
<div hidden>{sources}</div>
<script>{script}</script>
</body>
</html>
"""
