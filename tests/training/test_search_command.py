"""`mef search` from pictures to a genotype, and what it keeps on the way."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from mefcli.cli.app import app
from mefnets.crmef.genotype import SPACES
from mefnets.crmef.latency import Table, layers


def table_of(places, size_px=32):
    ms = {layer.key(name, size_px): 1.0 for layer in places for name in SPACES[layer.part]}
    return Table(ms, (size_px,), 1, 1, "cpu", 1, "processor time", "a test", "0")


def test_it_searches_keeps_a_log_of_alpha_and_replaces_neither_unasked(tmp_path, packed):
    table, out, log = (tmp_path / name for name in ("table.json", "found.json", "alpha.jsonl"))
    table.write_text(json.dumps(table_of(layers(4)).to_json()))
    arguments = ["search", "crmef", "-o", str(out), "--alpha-log", str(log), "--latency", str(table)]
    arguments += ["--data", str(packed), "--runs", str(tmp_path / "runs"), "--channels", "4"]
    arguments += ["--steps", "2", "--warmup", "1", "--batch", "1", "--crop-px", "32"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert len(json.loads(out.read_text())["srsm"]) == 12
    first, *steps = map(json.loads, log.read_text().splitlines())
    assert (first["settings"]["eta"], first["batch"], first["crop_px"]) == (0.5, 1, 32)
    assert [line["step"] for line in steps] == [1, 2]
    assert len(steps[0]["alpha"]) == 16

    kept = out.read_bytes(), log.read_bytes()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code != 0
    assert "found.json exists" in again.output
    out.unlink()
    assert "alpha.jsonl exists" in CliRunner().invoke(app, arguments).output
    out.write_bytes(kept[0])
    assert (out.read_bytes(), log.read_bytes()) == kept
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0
