"""Training and searching on a device that is not there: one sentence, no fault of the program."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mefcli.cli.app import run


@pytest.mark.parametrize(
    "command",
    [
        ["train", "lcndr", "--data", "{data}", "--runs", "{tmp}"],
        ["search", "crmef", "--measure-latency", "-o", "{tmp}/table.json"],
    ],
    ids=["train", "search"],
)
def test_a_missing_card_is_one_sentence(
    command: list[str],
    packed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    words = [part.format(data=packed, tmp=tmp_path) for part in command]
    assert run([*words, "--device", "cuda"]) == 1
    said = capsys.readouterr().err
    assert "No CUDA device was found" in said
    assert "fault in mef" not in said
