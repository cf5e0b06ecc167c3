"""One self-contained HTML page about a fusion: no network, every word escaped, every picture inside.

The page wants `Item`s (pictures with words) and `Section`s (tables and drawings); `html.py` makes them from
a pipeline result or from a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from mefcli.report.images import Bytes, clipping, data_address, histogram_svg
from mefcli.words import shown

# Nothing from outside, whatever a name in the page should try.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
# One transparent pixel: what is shown until the script has chosen a picture.
EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="

BRIGHT_NOTE = (
    '<p class="small screen-bright">This screen shows more than white: one of the pictures has its light '
    "beyond white, beside the same without.</p>"
    '<p class="small screen-plain">This screen shows no more than white: the picture with light beyond white '
    "looks here like the one without.</p>"
)


@dataclass(frozen=True)
class Item:
    """A picture on the page: an exposure or a result, all of one size."""

    label: str
    pixels: Bytes
    is_result: bool
    icc: bytes | None = None
    second: bytes | None = None  # the JPEG of its gain map, for screens that show more than white


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


def whole_page(*, title: str, lead: str, style: str, body: str, policy: str = POLICY, after: str = "") -> str:
    """A page around what is HTML already. Names that are no text, which no file could hold, become it."""
    template = Template((files("mefcli.report") / "page.html").read_text(encoding="utf-8"))
    return shown(
        template.substitute(title=title, lead=lead, style=style, body=body, policy=policy, after=after)
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
    plain = [item for item in items if item.second is None]
    results = [i for i, item in enumerate(items) if item.is_result and item.second is None]
    right = results[0] if results else len(items) - 1
    left = results[1] if len(results) > 1 else max(0, (len(items) - 2) // 2)
    sources = "".join(
        f'<img id="picture-{i}" alt="{escape(item.label)}"{" data-bright" if item.second else ""} '
        f'src="{data_address(item.pixels, item.icc, second=item.second)}">'
        for i, item in enumerate(items)
    )
    size_note = (
        "Pictures are embedded whole: 100 % shows every pixel."
        if scale >= 1
        else f"Pictures are embedded at {scale:.0%} of their size, {width}×{height} pixels."
    )
    body = "".join(
        f"<section><h2>{escape(s.title)}</h2>{s.body}</section>" for s in (_histograms(plain), *sections)
    )
    comparison = Template((assets / "comparison.html").read_text(encoding="utf-8")).substitute(
        left=_options(items, left),
        right=_options(items, right),
        width=width,
        height=height,
        empty=EMPTY,
        size_note=size_note,
        bright_note=BRIGHT_NOTE if any(item.second for item in items) else "",
    )
    after = f"<div hidden>{sources}</div>\n<script>{script}</script>"
    return whole_page(
        title=escape(title), lead=escape(lead), style=style, body=comparison + body, after=after
    )
