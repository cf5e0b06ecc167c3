"""The XMP packet of a result: what the photographer said of the reference frame, and how it was made.

Carried are words about the picture (rating, keywords, title, rights, place); never what describes the
source's bytes or its development. Standard: ISO 16684-1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from mefcli.formats import iptc
from mefcli.values import GainMap, Record

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
MEF = "urn:mef:fusion:1.0/"
PREFIXES = {
    "rdf": RDF,
    "x": "adobe:ns:meta/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0",
    "cc": "http://creativecommons.org/ns#",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "mef": MEF,
}
# What may pass: names, or None for the whole namespace.
CARRIED: dict[str, frozenset[str] | None] = {
    "dc": frozenset({"title", "description", "creator", "rights", "subject", "publisher", "contributor"}),
    "xmp": frozenset({"Rating", "Label"}),
    "xmpRights": None,
    "photoshop": frozenset(
        {"Headline", "City", "State", "Country", "Credit", "Source", "AuthorsPosition", "CaptionWriter"}
        | {"Category", "SupplementalCategories", "Urgency", "TransmissionReference", "Instructions"}
    ),
    "lr": frozenset({"hierarchicalSubject", "weightedFlatSubject"}),
    "Iptc4xmpCore": None,
    "Iptc4xmpExt": frozenset(
        {"PersonInImage", "Event", "LocationCreated", "LocationShown", "OrganisationInImageName"}
    ),
    "digiKam": frozenset({"TagsList", "ColorLabel", "PickLabel"}),
    "MicrosoftPhoto": frozenset({"Rating", "LastKeywordXMP"}),
    "cc": frozenset({"license", "attributionName", "attributionURL"}),
}
CONTAINERS = {
    "dc:title": "Alt",
    "dc:description": "Alt",
    "dc:rights": "Alt",
    "dc:creator": "Seq",
    "dc:subject": "Bag",
}
GAIN_MAP_VERSION = "1.0"
MAX_PACKET_BYTES = 1 << 20
DEEPEST = 100  # elements within each other: writing them takes a call each
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what XML 1.0 cannot hold

Element = ElementTree.Element


def packet(
    source: bytes | None,
    iim: bytes | None,
    rating: int | None,
    record: Record | None,
    version: str,
    second: bytes | None = None,
) -> bytes:
    """The whole packet, in UTF-8. `second` is the JPEG of a gain map that follows the picture."""
    description = _description()
    present = _carry(source, description)
    for name, values in iptc.words(iim).items():
        if name not in present and any(values):
            _add(description, name, [value for value in values if value])
    if rating is not None and "xmp:Rating" not in present:
        _add(description, "xmp:Rating", [str(rating)])
    _add(description, "xmp:CreatorTool", [f"mef {version}"])
    if record is not None:
        _describe(description, record, version)
    if second is not None:
        _tell_of_map(description, len(second))
    return _wrapped(description)


def gain_packet(gains: GainMap) -> bytes:
    """What a gain map's numbers mean, in stops, as Ultra HDR 1.0 spells it."""
    description = _description()
    numbers = {
        "GainMapMin": 0.0,
        "GainMapMax": gains.most,
        "Gamma": 1.0,
        "OffsetSDR": gains.offset,
        "OffsetHDR": gains.offset,
        "HDRCapacityMin": 0.0,
        "HDRCapacityMax": gains.most,
    }
    description.set(_tag("hdrgm:Version"), GAIN_MAP_VERSION)
    for name, number in numbers.items():
        description.set(_tag(f"hdrgm:{name}"), f"{number:.6g}")
    description.set(_tag("hdrgm:BaseRenditionIsHDR"), "False")
    return _wrapped(description)


def _tell_of_map(description: Element, size: int) -> None:
    """The directory by which readers of XMP find the map: so many bytes after the picture's end."""
    description.set(_tag("hdrgm:Version"), GAIN_MAP_VERSION)
    directory = ElementTree.SubElement(description, _tag("Container:Directory"))
    row = ElementTree.SubElement(directory, _tag("rdf:Seq"))
    pictures = ({"Semantic": "Primary"}, {"Semantic": "GainMap", "Length": str(size)})
    for one in pictures:
        place = ElementTree.SubElement(row, _tag("rdf:li"), {_tag("rdf:parseType"): "Resource"})
        item = ElementTree.SubElement(place, _tag("Container:Item"))
        for name, value in {**one, "Mime": "image/jpeg"}.items():
            item.set(_tag(f"Item:{name}"), value)


def _description() -> Element:
    for prefix, uri in PREFIXES.items():
        ElementTree.register_namespace(prefix, uri)
    return ElementTree.Element(_tag("rdf:Description"), {_tag("rdf:about"): ""})


def _wrapped(description: Element) -> bytes:
    root = ElementTree.Element(f"{{{PREFIXES['x']}}}xmpmeta")
    ElementTree.SubElement(root, f"{{{RDF}}}RDF").append(description)
    body = ElementTree.tostring(root, encoding="unicode")
    head = "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>\n"
    return (head + body + "\n<?xpacket end='w'?>").encode("utf-8")


def _tag(name: str) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"


def item_lengths(source: bytes) -> list[int]:
    """The sizes, in bytes, of what a container's directory lists behind the picture."""
    root = _parsed(source)
    found = [] if root is None else [one.attrib.get(_tag("Item:Length"), "") for one in root.iter()]
    return [int(text) for text in found if text.isascii() and text.isdigit() and len(text) < 16]


def gain_numbers(source: bytes) -> tuple[float, float] | None:
    """Of a gain map's packet: the most stops that it adds, and the headroom at which it adds all."""
    said = {name: element for name, element in _properties(source) if name.startswith("hdrgm:")}
    if "hdrgm:Version" not in said:
        return None
    try:
        most, room = (_most(said[f"hdrgm:{name}"]) for name in ("GainMapMax", "HDRCapacityMax"))
    except (KeyError, ValueError):
        return None
    return most, room


def _most(element: Element) -> float:
    """A number, or the largest of a list for each colour."""
    listed = [item.text for item in element.iter(_tag("rdf:li"))]
    return max(float(text or "") for text in listed or [element.text])


def carried_rating(source: bytes | None) -> int | None:
    for name, element in _properties(source):
        if name == "xmp:Rating":
            try:
                return round(float(element.text or ""))
            except (ValueError, OverflowError):  # no number; one without end
                return None
    return None


def carried_keywords(source: bytes | None, iim: bytes | None) -> tuple[str, ...]:
    for name, element in _properties(source):
        if name == "dc:subject":
            return tuple(text for item in element.iter(f"{{{RDF}}}li") if (text := (item.text or "").strip()))
    return tuple(iptc.words(iim).get("dc:subject", ()))


def _carry(source: bytes | None, description: Element) -> set[str]:
    present: set[str] = set()
    for name, element in _properties(source):
        prefix, _, local = name.partition(":")
        if prefix not in CARRIED or name in present:
            continue
        names = CARRIED[prefix]
        if names is None or local in names:
            _clean(element)
            description.append(element)
            present.add(name)
    return present


def _properties(source: bytes | None) -> list[tuple[str, Element]]:
    """(prefix:name, element) of each top-level property; nothing from a broken packet."""
    root = _parsed(source)
    if root is None:
        return []
    found = []
    for description in root.iter(f"{{{RDF}}}Description"):
        for key, value in description.attrib.items():
            name = _short(key)
            if name and not name.startswith("rdf:"):
                element = ElementTree.Element(key)
                element.text = value
                found.append((name, element))
        found += [(name, child) for child in description if (name := _short(child.tag))]
    return found


def _parsed(source: bytes | None) -> Element | None:
    if not source or len(source) > MAX_PACKET_BYTES:
        return None
    start, end = source.find(b"<x:xmpmeta"), source.rfind(b"</x:xmpmeta>")
    if start < 0 or end < 0:
        start, end = source.find(b"<rdf:RDF"), source.rfind(b"</rdf:RDF>")
        end = end + len(b"</rdf:RDF>") if end >= 0 else -1
    else:
        end += len(b"</x:xmpmeta>")
    body = source[start:end]
    if (
        start < 0 or end < start or b"<!" in body.replace(b"<!--", b"")
    ):  # no document types: no entities, no bombs
        return None
    try:
        root = ElementTree.fromstring(body.decode("utf-8", "replace"))
    except ElementTree.ParseError:
        return None
    level = [root]
    for _ in range(DEEPEST):
        level = [child for element in level for child in element]
    if level:
        return None
    for element in root.iter():
        element.tag = _canonical(element.tag)
        element.attrib = {_canonical(name): value for name, value in element.attrib.items()}
    return root


def _short(tag: str) -> str:
    uri, _, local = tag[1:].partition("}") if tag.startswith("{") else ("", "", tag)
    return next((f"{prefix}:{local}" for prefix, known in PREFIXES.items() if known == uri), "")


def _canonical(tag: str) -> str:
    """Microsoft's own programs write their namespace with and without a final slash."""
    return tag.replace(PREFIXES["MicrosoftPhoto"] + "/}", PREFIXES["MicrosoftPhoto"] + "}")


def _clean(element: Element) -> None:
    for part in element.iter():
        part.tail = None
        if len(part):
            part.text = None


def _add(parent: Element, name: str, values: Sequence[str], container: str | None = None) -> None:
    prefix, _, local = name.partition(":")
    element = ElementTree.SubElement(parent, f"{{{PREFIXES[prefix]}}}{local}")
    container = container or CONTAINERS.get(name)
    if container is None:
        element.text = plain(values[0])
        return
    holder = ElementTree.SubElement(element, f"{{{RDF}}}{container}")
    for value in values[:1] if container == "Alt" else values:
        item = ElementTree.SubElement(holder, f"{{{RDF}}}li")
        if container == "Alt":
            item.set(f"{{{XML}}}lang", "x-default")
        item.text = plain(value)


def _describe(parent: Element, record: Record, version: str) -> None:
    _add(parent, "mef:Version", [version])
    _add(parent, "mef:Model", [record.model])
    if record.weights_sha256:
        _add(parent, "mef:WeightsSHA256", [record.weights_sha256])
    lists: Mapping[str, Sequence[str]] = {
        "mef:Sources": record.sources,
        "mef:Settings": [f"{name}={value}" for name, value in sorted(record.settings.items())],
        "mef:Notes": record.notes,
    }
    for name, values in lists.items():
        if values:
            _add(parent, name, values, "Seq")


def plain(text: str) -> str:
    """Text that XML can hold: no control characters, no lone surrogates, and of reasonable length."""
    return _UNFIT.sub("\ufffd", str(text))[:2000]
