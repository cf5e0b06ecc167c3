"""What is fuzzed: our own parsers and writers, each fed arbitrary bytes. A target must not raise.

What they read comes from strangers; what they write must be read back as it was.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from mefcli.batch.claims import claim
from mefcli.batch.journal import NAME as JOURNAL
from mefcli.batch.journal import Journal
from mefcli.batch.plan import Work
from mefcli.errors import MefError, OutputError
from mefcli.formats import dng, gainmap, icc, ifd, iptc, makernotes, tags, xmp
from mefcli.formats.av1 import stream_facts
from mefcli.formats.facts import with_exif
from mefcli.formats.gainmap_reader import find_gain_map
from mefcli.formats.header import parse_header
from mefcli.formats.kinds import kind_of
from mefcli.formats.shot import read_shot
from mefcli.job import Job
from mefcli.pipeline.results import Done, Failed
from mefcli.values import Bracket, GainMap, Record, Shot

Target = Callable[[bytes], None]
PLACE = Path("x.dng")


class Chooser:
    """Numbers and strings from a run of bytes; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        self.at += size
        return part.ljust(size, b"\0")

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "little")


def directories(data: bytes) -> None:
    """The directory reader, and the facts drawn from it."""
    try:
        reader = ifd.TiffReader(data)
    except ValueError:
        return
    for found in reader.chain():
        for entry in found.values():
            assert isinstance(entry.text, str)
            assert entry.integer is None or isinstance(entry.integer, int)
    makernotes.maker_facts(data, reader.read(reader.first)[0], data[8:20].decode("latin-1"))


def entries(data: bytes) -> None:
    """What the directory writer writes, the reader reads back the same."""
    chooser, wanted = Chooser(data), dict[int, ifd.Entry]()
    while chooser.at < len(data) and len(wanted) < 40:
        tag, kind, count = chooser.number(2), chooser.number(1) % 13, chooser.number(1) % 24
        if tag in (ifd.EXIF_POINTER, ifd.GPS_POINTER, ifd.INTEROP_POINTER, ifd.SUB_IFDS) or not count:
            continue
        if kind in (ifd.BYTE, ifd.ASCII, ifd.UNDEFINED):
            wanted[tag] = ifd.Entry(kind, chooser.take(count))
        elif kind in (ifd.SHORT, ifd.LONG):
            size = ifd.SIZES[kind]
            wanted[tag] = ifd.Entry(kind, tuple(chooser.number(size) for _ in range(count)))
        elif kind == ifd.RATIONAL:
            wanted[tag] = ifd.Entry(kind, tuple((chooser.number(), chooser.number()) for _ in range(count)))
    reader = ifd.TiffReader(ifd.exif_block(wanted, wanted, wanted))
    main = reader.read(reader.first)[0]
    for found in (main, reader.pointed(main, ifd.EXIF_POINTER), reader.pointed(main, ifd.GPS_POINTER)):
        kept = {tag: entry for tag, entry in found.items() if tag in wanted}
        if wanted:
            assert kept == wanted
    assert not reader.cut


def carried_tags(data: bytes) -> None:
    """Tags taken over from any source fit the standard's types, and can be written."""
    try:
        reader = ifd.TiffReader(data)
    except ValueError:
        return
    main = reader.read(reader.first)[0]
    kept = [tags.carried(main, rules) for rules in (tags.MAIN_RULES, tags.EXIF_RULES, tags.GPS_RULES)]
    ifd.TiffReader(ifd.exif_block(*kept))


def profiles(data: bytes) -> None:
    """Names and colour models of any profile; ours have theirs."""
    assert isinstance(icc.profile_name(data), str)
    icc.colour_model(data)
    ours = ("srgb", "p3", "adobergb", "prophoto")
    damaged = bytearray(icc.icc_profile(ours[len(data) % 4]))
    chooser = Chooser(data)
    for _ in range(min(8, len(data) // 3)):
        damaged[chooser.number(2) % len(damaged)] = chooser.number(1)
    assert isinstance(icc.profile_name(bytes(damaged)), str)


def raw_files(data: bytes) -> None:
    """The RAW writer: any sizes and facts give a file that tells them again."""
    chooser = Chooser(data)
    shape = 2 * (1 + chooser.number(1) % 8), 2 * (1 + chooser.number(1) % 8)
    iso = float(1 + chooser.number(2) % 60000)
    make = chooser.take(chooser.number(1) % 40).decode("latin-1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.dng"
        dng.write_dng(
            path,
            np.frombuffer(chooser.take(2 * shape[0] * shape[1]), np.uint16).reshape(shape),
            exposure_s=(1 + chooser.number()) / 1e5,
            iso=iso,
            make=make,
            orientation=1 + chooser.number(1) % 8,
        )
        reader = ifd.TiffReader(path.read_bytes())
        main = reader.read(reader.first)[0]
        assert not reader.cut
        assert (main[0x0100].integer, main[0x0101].integer) == (shape[1], shape[0])
        found = read_shot(path)
        assert found.kind == "raw"
        assert found.exposure_s is not None
        assert found.iso == iso


def headers(data: bytes) -> None:
    """Any file's header: the kind by content, sizes, EXIF, XMP, IPTC and profile."""
    try:
        header = parse_header(data, kind_of(data, PLACE))
    except MefError:
        return
    assert 1 <= header.orientation <= 8
    with_exif(header, data)


def streams(data: bytes) -> None:
    """The depth that any AV1 stream says it has."""
    for stream in (data, b"\x12\0\x0a\x0b" + data):
        facts = stream_facts(stream)
        assert facts is None or facts.bits in (8, 10, 12)


def descriptions(data: bytes) -> None:
    """XMP made from a stranger's packet and records is well formed, and holds nothing that acts."""
    half = len(data) // 2
    block = iptc.carried_block(data[half:])
    record = Record(data[:20].decode("latin-1"), None, {}, notes=(data.decode("utf-8", "surrogateescape"),))
    made = xmp.packet(data[:half], block, None, record, "1")
    root = ElementTree.fromstring(made[made.index(b"<x:xmpmeta") : made.rindex(b"</x:xmpmeta>") + 12])
    assert root.tag.endswith("xmpmeta")
    assert b"<!ENTITY" not in made
    assert b"<script" not in made.lower()


def gain_maps(data: bytes) -> None:
    """What any JPEG says of a gain map in it, and what ours says with bytes of it changed."""
    chooser = Chooser(data)
    levels = np.frombuffer(chooser.take(192), np.uint8).reshape(8, 8, 3)
    coded = gainmap.map_jpeg(GainMap(levels, 2.0))
    whole = bytearray(gainmap.beside(coded, coded))
    found = find_gain_map(bytes(whole))
    assert found is not None
    assert found[0].stops == 2.0
    assert whole[found[1]] == coded
    for _ in range(min(8, len(data) // 4)):
        whole[chooser.number(2) % len(whole)] = chooser.number(1)
    for strange in (bytes(whole), b"\xff\xd8" + data, data):
        found = find_gain_map(strange)
        assert found is None or found[1].stop <= len(strange)


def journals(data: bytes) -> None:
    """A batch meets any file in the place of its journal: it works, or says in a sentence why not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shots = [Shot(folder / f"{number}.jpg", "jpeg") for number in range(2)]
        for shot in shots:
            shot.path.write_bytes(b"picture")
        output = folder / "x.tif"
        work = Work(Bracket(tuple(shots), (0.0, 1.0), 0, "fuzzed"), (output,), Job())
        strange_journal(data, folder, work)
        output.write_bytes(b"made")
        for overwrite in (False, True):
            work = replace(work, job=replace(work.job, overwrite=overwrite))
            said = ""
            try:
                use_journal(folder, work)
            except OutputError as error:
                said = error.message
            assert not said or (said.isprintable() and said.endswith("."))
        assert output.read_bytes() == b"made"


def strange_journal(data: bytes, folder: Path, work: Work) -> None:
    """A stranger's bytes; a damaged journal; or one whose entries say what they should not."""
    chooser, path = Chooser(data[1:]), folder / JOURNAL
    if data[:1] < b"\x40":
        path.write_bytes(data[1:])
        return
    journal = Journal(folder)
    journal.begin(work)
    if data[:1] >= b"\xa0":
        texts = data[1:].decode("utf-8", "replace").split("|")
        for column, text in zip(("state", "settings", "sources", "outputs", "result"), texts, strict=False):
            if text:
                journal.database.execute(f"UPDATE brackets SET {column}=?", [text])
        journal.close()
        return
    journal.close()
    damaged = bytearray(path.read_bytes())
    for _ in range(1 + len(data) // 4):
        damaged[chooser.number(2) % len(damaged)] = chooser.number(1)
    path.write_bytes(damaged[: len(damaged) - chooser.number(2) % len(damaged)])


def use_journal(folder: Path, work: Work) -> None:
    journal = Journal(folder)
    try:
        journal.finished(work)
        journal.check_free(work)
        begun = journal.begin(work)
        claim(begun, [(output, output) for output in work.outputs])
        made = Done(work.bracket, work.outputs, Record("average", None, {}), (3, 2))
        assert journal.finish(work, made) == made
        again = journal.finished(work)
        assert again is not None
        assert again.before
        assert (again.outputs, again.record.model, again.size_px) == (made.outputs, "average", (3, 2))
        journal.fail(work, Failed(work.bracket.paths, MefError("It did not work."), work.bracket))
    finally:
        journal.close()


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        directories,
        entries,
        carried_tags,
        profiles,
        raw_files,
        headers,
        streams,
        descriptions,
        gain_maps,
        journals,
    )
}
