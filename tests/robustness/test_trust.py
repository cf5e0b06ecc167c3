"""Files from strangers cannot run code, reach the network, or write into pages and metadata."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
import socket
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image
from toolkit import Mef

from mefcli import checkpoints
from mefcli.errors import ModelError
from mefcli.formats import xmp
from mefcli.formats.header import read_header

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "<script>alert('x')</script>"


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.target, "it ran")


@pytest.mark.parametrize("how", ["torch", "old torch", "pickle", "renamed", "nested"])
def test_a_malicious_checkpoint_cannot_run_code(mef: Mef, tmp_path: Path, how: str) -> None:
    sprung, path, out = tmp_path / "sprung", tmp_path / "best.pth", tmp_path / "out.safetensors"
    trap = Trap(sprung)
    if how == "pickle":
        path.write_bytes(pickle.dumps(trap))
    elif how == "renamed":
        path = path.with_suffix(".safetensors")
        path.write_bytes(pickle.dumps(trap))
    else:
        content = {"state_dict": {"a": torch.zeros(1), "b": trap}} if how == "nested" else trap
        torch.save(content, path, _use_new_zipfile_serialization=how != "old torch")
    done = mef("models", "import", "ffmef", path, "-o", out)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "fault in mef" not in done.err
    assert path.name in done.err
    assert not sprung.exists(), "the checkpoint ran code"
    assert not out.exists()
    if how != "renamed":  # the trap works: an ordinary unpickler would have sprung it
        pickle.loads(pickle.dumps(trap))
        assert sprung.exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.ckpt", "weights.safetensors"])
def test_fusing_loads_no_pickle_as_weights(mef: Mef, jpegs: list[Path], tmp_path: Path, name: str) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / name
    torch.save(Trap(sprung), path)
    done = mef("fuse", *jpegs, "--model", "ffmef", "--weights", path)
    assert done.code == 1
    assert name in done.err
    assert not sprung.exists()


def test_weights_that_are_not_the_shipped_ones_are_refused(tmp_path: Path) -> None:
    folder = next(iter(checkpoints.weight_folders()), None)
    shipped = sorted(folder.glob("*.safetensors")) if folder is not None else []
    if folder is None or not shipped:
        pytest.skip("no weights are shipped with this copy")
    smallest = min(shipped, key=lambda path: path.stat().st_size)
    copy = Path(shutil.copy(smallest, tmp_path))
    shutil.copy(folder / checkpoints.HASHES, tmp_path)
    checkpoints.read_checked(copy)
    data = bytearray(copy.read_bytes())
    data[-1] ^= 1
    copy.write_bytes(data)
    with pytest.raises(ModelError, match="not the file that was shipped"):
        checkpoints.read_checked(copy)


def test_every_shipped_file_of_weights_or_graphs_has_a_hash() -> None:
    for folder in checkpoints.weight_folders():
        named = checkpoints.known_hashes(folder)
        files = {path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".onnx")}
        assert files == set(named)


COMMANDS: list[list[str]] = [
    ["models", "list"],
    ["models", "verify"],
    ["doctor"],
    ["fuse", "--model", "mertens", "--report", "report.html", "-o", "out.jpg"],
    ["info"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_nothing_reaches_for_the_network(
    mef: Mef, jpegs: list[Path], command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(jpegs[0].parent)
    tried: list[object] = []

    def forbidden(*arguments: object, **_: object) -> NoReturn:
        tried.append(arguments)
        raise OSError("sockets are forbidden here")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, forbidden)
    files = jpegs if command[0] in ("fuse", "info") else []
    done = mef(command[0], *files, *command[1:])
    assert done.code == 0, done.err
    assert not tried


def test_no_code_opens_a_shell_evaluates_text_or_unpickles() -> None:
    found = []
    for path in [*(ROOT / "mefcli").rglob("*.py"), *(ROOT / "models").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if (
                name in ("eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads")
                or words.get("shell", "False") != "False"
                or (name == "torch.load" and words.get("weights_only") != "True")
                or (name == "np.load" and words.get("allow_pickle", "False") != "False")
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not found


@pytest.fixture
def hostile(jpegs: list[Path]) -> list[Path]:
    """A bracket whose names and EXIF texts try to be pages."""
    files = []
    for number, path in enumerate(jpegs):
        with Image.open(path) as picture:
            exif = picture.getexif()
            sub = exif.get_ifd(0x8769)
            exif[0x010E] = exif[0x010F] = exif[0x0110] = exif[0x013B] = exif[0x8298] = f'"]]>{SCRIPT}\x07'
            sub[0xA434] = f"lens{SCRIPT}"
            new = path.with_name(f"{number}<script>alert(1)<&.jpg".replace("<script>", "<img onerror=x>"))
            picture.save(new, exif=exif)
        path.unlink()
        files.append(new)
    return files


def test_reports_show_hostile_names_and_exif_as_text(mef: Mef, hostile: list[Path]) -> None:
    page = hostile[0].with_name("report.html")
    done = mef("fuse", *hostile, "--model", "mertens", "--report", page, "-o", page.with_name("out.jpg"))
    assert done.code == 0, done.err
    text = page.read_text(encoding="utf-8")
    assert "&lt;img onerror=x&gt;" in text, "the names are shown"
    assert "<img onerror" not in text
    assert "<script>alert" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".png"])
def test_hostile_texts_become_plain_well_formed_metadata(mef: Mef, hostile: list[Path], suffix: str) -> None:
    output = hostile[0].with_name("out" + suffix)
    assert mef("fuse", *hostile, "--model", "mertens", "-o", output).code == 0
    packet = read_header(output).xmp
    assert packet is not None
    assert b"<script" not in packet
    assert b"<img" not in packet
    ElementTree.fromstring(packet[packet.index(b"<x:xmpmeta") : packet.rindex(b"</x:xmpmeta>") + 12])


def test_json_output_stays_json_whatever_the_names(mef: Mef, hostile: list[Path]) -> None:
    done = mef("info", *hostile, "--json")
    assert done.code == 0
    assert len(json.loads(done.out)["shots"]) == 3


def test_entities_in_a_strangers_xmp_are_not_expanded() -> None:
    """The billion laughs, and a file that should stay private."""
    body = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    body += (
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator>&b;</dc:creator></rdf:Description></rdf:RDF>'
    )
    for entity in ('<!ENTITY b SYSTEM "file:///etc/hostname">', '<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">'):
        source = f'<!DOCTYPE x [{entity}]><x:xmpmeta xmlns:x="adobe:ns:meta/">{body}</x:xmpmeta>'
        made = xmp.packet(source.encode(), None, None, None, "1")
        assert b"lollol" not in made
        assert b"ENTITY" not in made


def test_programs_that_mef_starts_get_names_as_separate_words() -> None:
    """A name such as `; rm -rf x` stays one word: every start of a program hands over a list."""
    for path in (ROOT / "mefcli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess."):
                first = node.args[0]
                assert not isinstance(first, (ast.Constant, ast.JoinedStr, ast.BinOp)), path
