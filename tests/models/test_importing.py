"""Authors' checkpoints: recognised by their keys, set up by themselves, and the same function as theirs.

What they compute is written down once more, from the descriptions, and compared; CRMEF and MGDN have files of
their own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from imageio.v3 import imread

from mefcli.checkpoints import build_with_weights, load_fuser_weights
from mefcli.errors import ModelError
from mefcli.importing import WRAPPERS, import_checkpoint
from mefnets import MODELS
from mefnets.engine.fuser import Fuser
from tests.models.pretend_weights import conv, imported, norm, pair, state_of

CHECKPOINTS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/checkpoints"
needs_checkpoint = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(),
    reason="PARITY NOT CHECKED: their checkpoint is not beside the repository",
)


# ---- LCNDR -----------------------------------------------------------------------------------------------


def lcndr_layers():
    return {
        "conv_1": conv(32, 1, 3),
        "m1.se.fc.0": {"weight": (16, 32), "bias": (16,)},
        "m1.se.fc.2": {"weight": (32, 16), "bias": (32,)},
        "m1.conv1": conv(64, 32, 3),
        "m1.conv2": conv(96, 64, 3),
        "m3.conv1": conv(48, 33, 3),
        "m3.bn": norm(48),
        "m3.conv2": conv(32, 48, 3),
        "m3.bn2": norm(32),
        "m3.Cv1": conv(32, 32, 1),
        "m3.cv2": conv(8, 32, 1),
        "m3.cv3": conv(8, 32, 1),
        "conv_2": conv(1, 224, 3),
        "bn": norm(1),
        "r": {"weight": (1,)},
    }


def lcndr_as_described(w, frames):
    """The released network, from its description; inputs and result in [-1, 1]."""

    def layer(name, x, **options):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    def normed(name, x):
        return F.batch_norm(
            x, *(w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        )

    def branch(own, other):
        x = layer("conv_1", own, padding=1)
        gate = F.linear(x.mean((2, 3)), w["m1.se.fc.0.weight"], w["m1.se.fc.0.bias"]).relu()
        gate = F.linear(gate, w["m1.se.fc.2.weight"], w["m1.se.fc.2.bias"]).sigmoid()
        excited = x * gate[..., None, None]
        p = F.leaky_relu(layer("m1.conv1", x, padding=1), 0.01)
        p = F.leaky_relu(layer("m1.conv2", p, padding=1), 0.01)
        f = normed("m3.bn", layer("m3.conv1", torch.cat((x, other), 1), stride=2)).relu()
        f = normed("m3.bn2", layer("m3.conv2", F.max_pool2d(f, 2), stride=2)).relu()
        count = f.shape[2] * f.shape[3]
        rows = layer("m3.cv2", f).reshape(count, 8)  # as the memory lies, which is no position's vector
        columns = layer("m3.cv3", f).reshape(count, 8).T
        attention = (rows @ columns).softmax(1)
        attended = (layer("m3.Cv1", f).reshape(32, count) @ attention.T).view(f.shape)
        attended = F.interpolate(attended, size=own.shape[2:])
        joined = torch.cat((excited, excited, excited, p, attended), 1)
        return normed("bn", layer("conv_2", joined, padding=1)).sigmoid().tanh()

    under, over = frames.unbind(1)
    return branch(over, under) * over + branch(under, over) + under


def test_lcndrs_released_network_computes_what_its_authors_code_does(tmp_path):
    state = state_of(lcndr_layers())
    assert sum(v.numel() for k, v in state.items() if "running" not in k) == 107_204  # as published
    network, spec, metadata = imported("auto", state, tmp_path)
    assert (spec.name, spec.tiling.mirror_px, spec.tiling.whole) == ("lcndr", 0, True)
    assert "not their paper's" in metadata["recognised"]
    frames = pair(1, 40, 56)
    with torch.no_grad():
        expected = lcndr_as_described(state, frames * 2 - 1)
        torch.testing.assert_close(network(frames) * 2 - 1, expected, atol=1e-5, rtol=1e-4)
        two = torch.cat((frames, frames.flip(-1)))
        torch.testing.assert_close(network(two)[:1], network(frames))  # theirs mixes a batch up


# ---- all of them -----------------------------------------------------------------------------------------


def test_what_is_public_under_mefcls_name_is_said_not_to_be_its_network(tmp_path):
    for key, words in (("sAtt_L2.weight", "attention networks"), ("CondNet.0.weight", "Retinex network")):
        with pytest.raises(ModelError, match=words):
            imported("mefcl", {key: torch.zeros(64, 128, 3, 3)}, tmp_path)


def test_weights_of_another_system_are_named(tmp_path):
    with pytest.raises(ModelError, match="These weights are LCNDR's, not MGDN's"):
        imported("mgdn", state_of(lcndr_layers()), tmp_path)


def test_a_tensor_that_has_no_place_is_named(tmp_path):
    state = state_of(lcndr_layers()) | {"m9.weight": torch.zeros(1)}
    with pytest.raises(ModelError, match=r"1 tensors have no place \(m9\.weight\)"):
        imported("lcndr", state, tmp_path)


def test_a_missing_tensor_is_named(tmp_path):
    state = state_of(lcndr_layers())
    del state["conv_2.bias"]
    with pytest.raises(ModelError, match=r"missing \(head\.bias\)"):
        imported("lcndr", state, tmp_path)


def test_keys_of_nobody_ask_for_a_name(tmp_path):
    with pytest.raises(ModelError, match="Nobody's keys are like these: odd"):
        imported("auto", {"odd": torch.zeros(1)}, tmp_path)


@needs_checkpoint
@pytest.mark.parametrize("model", ["ffmef-focus", "ffmef-infrared"])
def test_ffmefs_weights_for_other_tasks_have_the_same_keys(tmp_path, model):
    """Their files for exposures, focus and infrared are alike but for the numbers."""
    theirs = torch.load(CHECKPOINTS / "ffmef_authors_mef.pth", map_location="cpu", weights_only=True)
    inner = next((theirs[key] for key in WRAPPERS if key in theirs), theirs)
    inner.update({key: value * 1.01 for key, value in inner.items() if torch.is_floating_point(value)})
    torch.save(inner, tmp_path / "theirs.pth")
    out = tmp_path / "out.safetensors"
    metadata = import_checkpoint(model, tmp_path / "theirs.pth", out)
    assert (metadata["model"], metadata["luma_range"]) == (model, "studio")
    assert metadata["recognised"] == "the FFMEF authors' weights"
    assert load_fuser_weights(str(out))[0].task == MODELS[model].task


@needs_checkpoint
def test_ffmefs_weights_need_no_word_from_the_user(tmp_path):
    """Without the two flags that only a reader of the docs knew, the result was off by 38 levels."""
    out = tmp_path / "out.safetensors"
    metadata = import_checkpoint("auto", CHECKPOINTS / "ffmef_authors_mef.pth", out)
    assert (metadata["model"], metadata["luma_range"]) == ("ffmef", "studio")
    assert json.loads(metadata["options"]) == {"padding": "zeros"}
    assert metadata["recognised"] == "the exposure weights of FFMEF's authors (MIT)"  # by its hash
    spec, tensors, _, _ = load_fuser_weights(str(out))
    folder = CHECKPOINTS / "ffmef_507"
    frames = [imread(folder / name) for name in ("under.png", "over.png")]
    fused = Fuser(spec, build_with_weights(spec, tensors), "cpu").fuse(frames, resolution="native", depth=32)
    expected = imread(folder / "authors_result.png").astype(float)
    difference = np.abs(np.clip(np.asarray(fused), 0, 1) * 255 - expected)
    assert difference.mean() < 1.5  # they truncate, and round their matrices
