"""Authors' checkpoints: recognised by their keys, set up by themselves, and the same function as theirs.

The state dicts here are made up from the layers that the authors publish, named as they name them, with
random values; what they compute is written down once more, from the descriptions, and compared.
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
from mefnets.crmef import importer as crmef_importer
from mefnets.engine.fuser import Fuser
from mefnets.mgdn import importer as mgdn_importer
from mefnets.mgdn.network import build as build_mgdn

CHECKPOINTS = Path(__file__).resolve().parents[2].parent / "shared/data/dev/checkpoints"
needs_checkpoint = pytest.mark.skipif(
    not CHECKPOINTS.is_dir(),
    reason="PARITY NOT CHECKED: their checkpoint is not beside the repository",
)


def conv(m, n, k):
    return {"weight": (m, n, k, k), "bias": (m,)}


def norm(n):
    return {"weight": (n,), "bias": (n,), "running_mean": (n,), "running_var": (n,)}


def state_of(layers, seed=0):
    """{name: {"weight": shape, ...}} to random tensors, small and of the right kind."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, parts in layers.items():
        for part, shape in parts.items():
            value = torch.randn(shape, generator=generator)
            if part == "running_var":
                value = value.abs() + 0.5
            elif len(shape) > 1:
                value = value / (shape[1] * shape[-1] * shape[-2]) ** 0.5
            else:
                value = 0.2 * value + (1.0 if "bn" in name and part == "weight" else 0.0)
            state[f"{name}.{part}" if name else part] = value
    return state


def imported(model, state, tmp_path):
    """The network that the file makes, and its spec and metadata."""
    path, out = tmp_path / "theirs.pth", tmp_path / "ours.safetensors"
    torch.save(state, path)
    metadata = import_checkpoint(model, path, out)
    spec, tensors, _, _ = load_fuser_weights(str(out))
    return build_with_weights(spec, tensors).eval(), spec, metadata


def pair(channels=3, height=24, width=16):
    return torch.rand(1, 2, channels, height, width, generator=torch.Generator().manual_seed(1))


# ---- CRMEF -----------------------------------------------------------------------------------------------


def residual(name, n, m, k):
    return {f"{name}.op": conv(n, n, k), f"{name}.op2": conv(m, n, 3), f"{name}.relu": {"weight": (1,)}}


def crmef_layers(width=128, drm=(3, 3, 3, 3)):
    layers = {}
    for side in ("under", "over"):
        for i in range(2):
            at = f"attention_{side}.{i}"
            layers |= {
                f"{at}.fe1": conv(64, 3, 3),
                f"{at}.fe2.op": conv(64, 64, 3),
                f"{at}.sAtt_2.op": conv(64, 128, 3),
                f"{at}.sAtt_4.op": conv(64, 64, 3),
                f"{at}.sAtt_5": conv(3, 64, 3),
                f"{at}.sAtt_L1": conv(64, 64, 1),
                f"{at}.lrelu": {"weight": (1,)},
            }
    layers |= {"aggregation.conv1": conv(width // 2, 3, 3), "aggregation.conv3": conv(width, width // 2, 3)}
    for n, k in zip((4, 5, 8, 25), drm, strict=True):
        layers |= residual(f"aggregation.conv{n}", width, width, k)
    for n, relu in zip((3, 4, 5, 8, 25), (3, 4, 5, 8, 9), strict=True):
        layers |= {f"aggregation.bn{n}": norm(width), f"aggregation.relu{relu}": {"weight": (1,)}}
    return layers | {"aggregation.conv26": conv(3, width, 1), "aggregation.bn26": norm(3)}


def crmef_as_described(w, frames, dilations):
    """The general model, from its description: relight twice, sum, divide by the illumination map."""

    def layer(name, x, dilation=1):
        k = w[f"{name}.weight"].shape[-1]
        return F.conv2d(
            x, w[f"{name}.weight"], w[f"{name}.bias"], padding=dilation * (k // 2), dilation=dilation
        )

    def relit(at, x):
        def act(t):
            return F.prelu(t, w[f"{at}.lrelu.weight"])

        t = act(act(layer(f"{at}.fe2.op", act(layer(f"{at}.fe1", x)))))
        t = torch.cat((F.max_pool2d(t, 3, 2, 1), F.avg_pool2d(t, 3, 2, 1)), 1)
        z = act(layer(f"{at}.sAtt_2.op", t))
        z = act(layer(f"{at}.sAtt_4.op", z)) + z
        z = F.interpolate(z, size=x.shape[-2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(layer(f"{at}.sAtt_5", z)) * x

    def normed(n, relu, x, residual=0.0):
        stats = [w[f"aggregation.bn{n}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.prelu(F.batch_norm(x, *stats) + residual, w[f"aggregation.relu{relu}.weight"])

    def searched(n, x, dilation):
        at = f"aggregation.conv{n}"
        v = F.prelu(layer(f"{at}.op", x, dilation) + x, w[f"{at}.relu.weight"])
        return layer(f"{at}.op2", v)

    x1, x2 = frames.unbind(1)
    for i in range(2):
        x1, x2 = relit(f"attention_under.{i}", x1), relit(f"attention_over.{i}", x2)
    s = x1 + x2
    x = normed(3, 3, layer("aggregation.conv3", layer("aggregation.conv1", s)))
    r = normed(4, 4, searched(4, x, dilations[0]))
    x = normed(5, 5, searched(5, r, dilations[1]), r)
    r = normed(8, 8, searched(8, x, dilations[2]))
    x = normed(25, 9, searched(25, r, dilations[3]), r)
    return s / (torch.sigmoid(layer("aggregation.conv26", x)) + 1e-5)


def test_crmefs_general_model_computes_what_its_authors_describe(tmp_path):
    state = state_of(crmef_layers())
    network, spec, metadata = imported("auto", state, tmp_path)
    assert (spec.name, spec.tiling.mirror_px, spec.luma_range) == ("crmef", 0, "full")
    assert metadata["left_out"].startswith("12 idle tensors")
    with torch.no_grad():
        expected = crmef_as_described(state, pair(), (2, 2, 1, 1))
        torch.testing.assert_close(network(pair()), expected, atol=1e-4, rtol=1e-3)


def test_a_light_crmef_tells_its_order_of_operators_by_its_shapes(tmp_path):
    state = state_of(crmef_layers(32, (1, 3, 1, 3)))
    network, _, metadata = imported("crmef-fast", state, tmp_path)
    assert json.loads(metadata["options"])["genotype"]["drm"] == ["RC-1", "RC-3", "RC-1", "RC-3"]
    assert "dilation is not recorded" in metadata["recognised"]
    with torch.no_grad():
        expected = crmef_as_described(state, pair(), (1, 1, 1, 1))
        torch.testing.assert_close(network(pair()), expected, atol=1e-4, rtol=1e-3)


def pyramid(at):
    names = ("feature_extraction.0.conv1", "feature_extraction.0.conv2", "downsample1.0", "downsample1.2")
    return {f"{at}.{name}": conv(64, 64, 3) for name in (*names, "downsample2.0", "downsample2.2")}


def dasm(at, kernels=(5, 5, 5, 3)):
    layers = {}
    for level, offsets, k in zip(("L3", "L2", "L1", "cas"), (2, 3, 3, 2), kernels, strict=True):
        for i in range(offsets):
            wide = i == 0 or (i == 1 and offsets == 3)
            layers[f"{at}.{level}_offset_conv{i + 1}"] = conv(64, 128 if wide else 64, 3)
        layers[f"{at}.{level}_dcnpack"] = conv(64, 64, k)
        layers[f"{at}.{level}_dcnpack.conv_offset_mask"] = conv(3 * k * k, 64, k)
        if level in ("L2", "L1"):
            layers[f"{at}.{level}_fea_conv"] = conv(64, 128, 3)
    return layers


def test_crmefs_misaligned_forms_become_models_that_align(tmp_path):
    layers = {k: v for k, v in crmef_layers(64).items() if k not in ("aggregation.conv1",)}
    layers["aggregation.conv3"] = conv(64, 64, 3)
    layers |= pyramid("aggregation.pyramid") | dasm("aggregation.deform")
    layers["aggregation.pyramid.conv1.0"] = conv(64, 3, 1)
    # RC, RDC, RDC, RC and C, C, DC, as published: their sizes are all 3.
    network, spec, metadata = imported("crmef", state_of(layers), tmp_path)
    assert spec.name == "crmef-align"
    assert json.loads(metadata["options"])["genotype"]["drm"] == ["RC-3", "RDC-3", "RDC-3", "RC-3"]
    with torch.no_grad():
        assert network(pair()).shape == (1, 3, 24, 16)

    layers = {f"conv{n}_s": conv(64, 3, 3) for n in (1, 2)} | pyramid("pyramid_feats") | dasm("pcd_r")
    layers |= {"conv1_f": conv(64, 64, 3), "conv2_f": conv(3, 16, 3), "conv_up": conv(64, 64, 3)}
    for att in ("att", "att2"):
        layers |= {f"{att}.conv": conv(64, 128, 3)}
        layers |= {f"{att}.c1_d.op": conv(64, 64, 3), f"{att}.c1_r.op": conv(64, 64, 3)}
    for n in (1, 2):
        for j in (0, 1):
            layers |= residual(f"RDB{n}.dense_layers.{j}.conv", 64 + 32 * j, 32, 3)
        layers[f"RDB{n}.conv_1x1"] = conv(64, 128, 1)
    layers |= {"conv2": conv(64, 64, 3), "GFF_1x1": conv(64, 128, 1), "GFF_3x3": conv(64, 64, 3)}
    layers["conv3"] = conv(3, 64, 3)
    state = state_of(layers)
    assert sum(value.numel() for value in state.values()) == 2_485_494  # the published count
    network, spec, metadata = imported("auto", state, tmp_path)
    assert spec.name == "crmef-align"
    assert spec.options["variant"] == "align-code"
    assert metadata["left_out"].startswith("6 idle tensors")
    assert sum(p.numel() for p in network.parameters()) == 2_411_203
    with torch.no_grad():
        expected = crmef_script_as_described(state, pair())
        assert float(expected.std()) > 0.01
        torch.testing.assert_close(network(pair()), expected, atol=1e-4, rtol=1e-3)


def deformed(x, offset, mask, weight, bias):
    """Modulated deformable convolution, tap by tap, corner by corner; zero outside."""
    k, (height, width) = weight.shape[-1], x.shape[-2:]
    padded = F.pad(x, (1, 1, 1, 1))  # what lies outside is looked up here
    y, x_at = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    total = bias.view(1, -1, 1, 1).expand(1, -1, height, width)
    for tap in range(k * k):
        down = y + tap // k - k // 2 + offset[0, 2 * tap]
        across = x_at + tap % k - k // 2 + offset[0, 2 * tap + 1]
        value = torch.zeros_like(x)
        for top in (down.floor(), down.floor() + 1):
            for left in (across.floor(), across.floor() + 1):
                share = (1 - (down - top).abs()) * (1 - (across - left).abs())
                rows = (top.long() + 1).clamp(0, height + 1)
                columns = (left.long() + 1).clamp(0, width + 1)
                value = value + share * padded[:, :, rows, columns]
        kernel = weight[:, :, tap // k, tap % k]
        total = total + torch.einsum("mn,bnhw->bmhw", kernel, value * mask[:, tap : tap + 1])
    return total


def crmef_script_as_described(w, frames):
    """The misaligned model of the test script, from its description: attention on features, a pyramid of
    deformed features, two dense blocks, a sigmoid. Operators: C-3, C-3 and RC-3, RDC-3."""

    def layer(name, x, stride=1, dilation=1):
        k = w[f"{name}.weight"].shape[-1]
        padding = dilation * (k // 2)
        return F.conv2d(
            x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, padding=padding, dilation=dilation
        )

    def lr(x):
        return F.leaky_relu(x, 0.1)

    def twice(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def attended(stem, att, x):
        s = layer(stem, x)
        t = layer(f"{att}.c1_d.op", layer(f"{att}.conv", torch.cat((s, s), 1)))
        return s * torch.sigmoid(layer(f"{att}.c1_r.op", F.leaky_relu(t, 0.01)))

    def pyramid_of(x):
        at = "pyramid_feats"
        levels = [
            layer(f"{at}.feature_extraction.0.conv2", layer(f"{at}.feature_extraction.0.conv1", x).relu()) + x
        ]
        for name in ("downsample1", "downsample2"):
            levels.append(lr(layer(f"{at}.{name}.2", lr(layer(f"{at}.{name}.0", levels[-1], 2)))))
        return levels

    def deform(level, x, feature):
        name = f"pcd_r.{level}_dcnpack"
        k = w[f"{name}.weight"].shape[-1]
        first, second, mask = layer(f"{name}.conv_offset_mask", feature).chunk(3, 1)
        offset = torch.cat((first, second), 1)
        assert offset.shape[1] == 2 * k * k
        return deformed(x, offset, mask.sigmoid(), w[f"{name}.weight"], w[f"{name}.bias"])

    def offsets(level, n, r, coarser=None):
        o = lr(layer(f"pcd_r.{level}_offset_conv1", torch.cat((n, r), 1)))
        if coarser is None:
            return lr(layer(f"pcd_r.{level}_offset_conv2", o))
        o = lr(layer(f"pcd_r.{level}_offset_conv2", torch.cat((o, 2 * twice(coarser)), 1)))
        return lr(layer(f"pcd_r.{level}_offset_conv3", o))

    def dense(at, x):
        t = x
        for j, dilation in ((0, 1), (1, 2)):
            name = f"{at}.dense_layers.{j}.conv"
            v = F.prelu(layer(f"{name}.op", t, dilation=dilation) + t, w[f"{name}.relu.weight"])
            t = torch.cat((t, layer(f"{name}.op2", v).relu()), 1)
        return layer(f"{at}.conv_1x1", t) + x

    n1, n2, n3 = pyramid_of(attended("conv1_s", "att", frames[:, 0]))
    r1, r2, r3 = pyramid_of(attended("conv2_s", "att2", frames[:, 1]))
    o3 = offsets("L3", n3, r3)
    a3 = lr(deform("L3", n3, o3))
    o2 = offsets("L2", n2, r2, o3)
    a2 = lr(layer("pcd_r.L2_fea_conv", torch.cat((deform("L2", n2, o2), twice(a3)), 1)))
    o1 = offsets("L1", n1, r1, o2)
    a1 = layer("pcd_r.L1_fea_conv", torch.cat((deform("L1", n1, o1), twice(a2)), 1))
    aligned = lr(deform("cas", a1, offsets("cas", a1, r1)))
    d1 = dense("RDB1", layer("conv2", aligned + r1))
    d2 = dense("RDB2", d1)
    t = layer("GFF_3x3", layer("GFF_1x1", torch.cat((d1, d2), 1))) + r1
    return torch.sigmoid(layer("conv3", t))


def test_deformed_kernels_and_their_offsets_go_to_the_same_layer():
    key = "aggregation.deform.cas_dcnpack.conv_offset_mask.weight"
    assert crmef_importer.swapped(key, crmef_importer.ALIGN) == "dasm.cascade.deform.steer.weight"


# ---- MGDN ------------------------------------------------------------------------------------------------


def mgdn_layers(C, stages, blocks, window, heads, ratio, inputs):
    three = len(inputs) == 1
    layers = {f"inconv{i + 1}": conv(C, n, 3) for i, n in enumerate(inputs)}
    layers = {"conv1": conv(C, 6, 3)} if three else layers
    layers |= {"patch_embed.norm": {"weight": (C,), "bias": (C,)}, "norm": {"weight": (C,), "bias": (C,)}}
    r = C // 8
    for s in range(stages):
        at, tca = f"layers.{s}", f"layers.{s}.MGF.TCA"
        layers |= {tca: {"temperature": (6, 1, 1)}, f"{tca}.q": conv(C, C, 1), f"{tca}.kv": conv(2 * C, C, 1)}
        layers |= {f"{tca}.q_dwconv": conv(C, 1, 3), f"{tca}.kv_dwconv": conv(2 * C, 1, 3)}
        layers |= {f"{tca}.project_out": conv(C, C, 1), f"{at}.dilated_conv": conv(C, C, 3)}
        for side in ("under", "over") if three else ("ref", "ext"):
            head = f"{at}.MGF.kernel_predictor_{side}"
            layers |= {
                f"{head}.0.0": conv(C, C, 3),
                f"{head}.1.0": conv(C, C, 3),
                f"{head}.2": conv(49, C, 1),
            }
        layers |= {f"{at}.MGF.conv_out_{i}.0": conv(C, C, 1) for i in (1, 2)}
        if three:
            layers |= {f"{at}.MGF.conv_ref.{i}.0": conv(C, C, 3) for i in (0, 1)}
        layers |= {f"{at}.adjust_channel": conv(C, (3 if three else 2) * C, 1)}
        layers |= {f"{at}.adjust_channel_0{i}": conv(C, 2 * C, 1) for i in (1, 2, 3)}
        for b in range(blocks):
            block = f"{at}.residual_group.blocks.{b}"
            layers |= {
                f"{block}.norm1": {"weight": (C,), "bias": (C,)},
                f"{block}.norm2": {"weight": (C,), "bias": (C,)},
                f"{block}.attn": {"relative_position_bias_table": ((2 * window - 1) ** 2, heads)},
                f"{block}.attn.qkv": {"weight": (3 * C, C), "bias": (3 * C,)},
                f"{block}.attn.proj": {"weight": (C, C), "bias": (C,)},
                f"{block}.mlp.fc1": {"weight": (ratio * C, C), "bias": (ratio * C,)},
                f"{block}.mlp.fc2": {"weight": (C, ratio * C), "bias": (C,)},
                f"{block}.lce.conv.0": conv(r, C, 1),
                f"{block}.lce.conv.1": conv(r, r, 3),
                f"{block}.lce.conv.2": conv(C, r, 1),
                f"{block}.lce.fc.0": {"weight": (r, C)},
                f"{block}.lce.fc.2": {"weight": (C, r)},
            }
    layers["conv_after_body.0"] = conv(C, (3 if three else 2) * C, 3)
    layers["conv_last.0"] = conv(1 if inputs == (3, 1) else 3, C, 3)
    return layers


def mgdn_as_described(w, frames, stages, blocks, window, heads):
    """From the description: `frames` are the pictures of two streams, or of three around a reference."""
    three = len(frames) == 3

    def layer(name, x, **options):
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **options)

    def linear(name, x):
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def normed(name, x):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def guided(at, guide, op):
        """Attention between channels: queries of the guide, keys and values of the other."""
        B, C, height, width = op.shape
        q = layer(f"{at}.q_dwconv", layer(f"{at}.q", guide), padding=1, groups=C)
        kv = layer(f"{at}.kv_dwconv", layer(f"{at}.kv", op), padding=1, groups=2 * C)
        k, v = kv.chunk(2, 1)
        q, k, v = (x.reshape(B, 6, C // 6, height * width) for x in (q, k, v))
        cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        attention = (cosines * w[f"{at}.temperature"]).softmax(-1)
        return layer(f"{at}.project_out", (attention @ v).reshape(B, C, height, width))

    def filtered(head, after, features, x):
        t = F.leaky_relu(layer(f"{head}.0.0", features, padding=1), 0.1)
        kernels = layer(f"{head}.2", F.leaky_relu(layer(f"{head}.1.0", t, padding=1), 0.1))
        B, C, height, width = x.shape
        patches = F.unfold(F.pad(x, (3, 3, 3, 3), mode="replicate"), 7).view(B, C, 49, height, width)
        return F.leaky_relu(layer(after, (patches * kernels[:, None]).sum(2)), 0.1)

    def attention(at, t, shift):
        """Of windows; t (B, H, W, C)."""
        B, height, width, C = t.shape
        T = window * window
        part = torch.zeros(height, width)
        if shift:
            cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
            for number, (rows, columns) in enumerate((r, c) for r in cuts for c in cuts):
                part[rows, columns] = number
            t = t.roll((-shift, -shift), (1, 2))

        def windows(x):
            x = x.view(-1, height // window, window, width // window, window, x.shape[-1])
            return x.transpose(2, 3).reshape(-1, T, x.shape[-1])

        q, k, v = linear(f"{at}.qkv", windows(t)).view(-1, T, 3, heads, C // heads).permute(2, 0, 3, 1, 4)
        y, x = (one.flatten() for one in torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij"))
        index = (y[:, None] - y + window - 1) * (2 * window - 1) + x[:, None] - x + window - 1
        bias = w[f"{at}.relative_position_bias_table"][index].permute(2, 0, 1)
        region = windows(part[None, ..., None])[..., 0]
        apart = (region[:, :, None] != region[:, None]).float() * -100
        logits = q * (C // heads) ** -0.5 @ k.transpose(-2, -1) + bias + apart.repeat(B, 1, 1)[:, None]
        out = linear(f"{at}.proj", (logits.softmax(-1) @ v).transpose(1, 2).reshape(-1, T, C))
        out = out.view(B, height // window, width // window, window, window, C).transpose(2, 3)
        out = out.reshape(B, height, width, C)
        return out.roll((shift, shift), (1, 2)) if shift else out

    def block(at, x, shift):
        t = normed(f"{at}.norm1", x)
        y = x + attention(f"{at}.attn", t, shift)
        y = y + linear(f"{at}.mlp.fc2", F.gelu(linear(f"{at}.mlp.fc1", normed(f"{at}.norm2", y))))
        local = layer(f"{at}.lce.conv.1", layer(f"{at}.lce.conv.0", t.permute(0, 3, 1, 2)), padding=1)
        local = F.leaky_relu(layer(f"{at}.lce.conv.2", local), 0.2)
        gate = linear(f"{at}.lce.fc.2", linear(f"{at}.lce.fc.0", local.mean((2, 3))).relu()).sigmoid()
        return y + (local * gate[..., None, None]).permute(0, 2, 3, 1)

    names = ["conv1"] * 3 if three else ["inconv1", "inconv2"]
    stems = [layer(name, picture, padding=1) for name, picture in zip(names, frames, strict=True)]
    streams = stems
    for s in range(stages):
        at, tca = f"layers.{s}", f"layers.{s}.MGF.TCA"
        head = f"{at}.MGF.kernel_predictor_"
        outs = [f"{at}.MGF.conv_out_{i}.0" for i in (1, 2)]
        if three:
            under, reference, over = streams
            kept = reference
            for i in (0, 1):
                kept = F.leaky_relu(layer(f"{at}.MGF.conv_ref.{i}.0", kept, padding=1), 0.1)
            o = [
                filtered(f"{head}under", outs[0], guided(tca, reference, under), under),
                kept,
                filtered(f"{head}over", outs[1], guided(tca, reference, over), over),
            ]
        else:
            one, two = streams
            o = [
                filtered(f"{head}ref", outs[0], guided(tca, one, two), one),
                filtered(f"{head}ext", outs[1], guided(tca, two, one), two),
            ]
        x = layer(f"{at}.adjust_channel", torch.cat(o, 1)).permute(0, 2, 3, 1)
        for b in range(blocks):
            x = block(f"{at}.residual_group.blocks.{b}", x, window // 2 if b % 2 else 0)
        m = layer(f"{at}.dilated_conv", x.permute(0, 3, 1, 2), padding=2, dilation=2)
        streams = [layer(f"{at}.adjust_channel_0{i}", torch.cat((m, own), 1)) for i, own in enumerate(o, 1)]
    x = F.leaky_relu(layer("conv_after_body.0", torch.cat(streams, 1), padding=1), 0.2)
    back = stems[1] if three or frames[1].shape[1] == 1 else stems[0]
    return torch.sigmoid(layer("conv_last.0", x + back, padding=1))


MGDN = {  # task: sizes, the published count
    "exposure": ((60, 2, 6, 8, 6, 2, (3, 3)), 908_311),
    "focus": ((30, 2, 3, 4, 3, 2, (3, 3)), 182_755),
    "deghosting": ((60, 3, 6, 8, 6, 4, (6,)), 1_826_685),
    "depth": ((30, 3, 3, 4, 6, 4, (3, 1)), 297_892),
    "depth16": ((60, 3, 3, 4, 6, 4, (3, 1)), 1_149_394),
}


@pytest.mark.parametrize("task", MGDN)
def test_mgdns_tasks_are_told_by_their_sizes_and_every_tensor_finds_its_place(task):
    sizes, count = MGDN[task]
    state = state_of(mgdn_layers(*sizes))
    assert sum(value.numel() for value in state.values()) == count
    found = mgdn_importer.read(state)
    assert found.options["task"] == task
    network = build_mgdn(**found.options)
    network.load_state_dict(found.tensors)  # strict: nothing missing, nothing over


@pytest.mark.parametrize("task", MGDN)
def test_mgdn_computes_what_its_authors_describe(task):
    (C, stages, blocks, window, heads, ratio, inputs), _ = MGDN[task]
    state = state_of(mgdn_layers(C, stages, blocks, window, heads, ratio, inputs))
    found = mgdn_importer.read(state)
    network = build_mgdn(**found.options).eval()
    network.load_state_dict(found.tensors)
    count = 3 if len(inputs) == 1 else 2
    generator = torch.Generator().manual_seed(3)
    pictures = [
        torch.rand(1, inputs[min(i, len(inputs) - 1)], 24, 16, generator=generator) for i in range(count)
    ]
    frames = torch.cat(pictures, 1)[:, None] if inputs == (3, 1) else torch.stack(pictures, 1)
    with torch.no_grad():
        expected = mgdn_as_described(state, pictures, stages, blocks, window, heads)
        assert float(expected.std()) > 0.01
        torch.testing.assert_close(network(frames), expected, atol=1e-4, rtol=1e-3)


def test_mgdns_exposure_weights_guide_as_its_code_does_and_see_no_mirrored_border(tmp_path):
    state = state_of(mgdn_layers(*MGDN["exposure"][0]))
    state["layers.0.residual_group.blocks.1.attn_mask"] = torch.zeros(4, 64, 64)
    state["layers.0.residual_group.blocks.1.attn.relative_position_index"] = torch.zeros(64, 64).long()
    network, spec, metadata = imported("mgdn", {"params": state}, tmp_path)
    assert spec.tiling.mirror_px == 0
    assert (spec.options["exchange"], spec.options["norm_residual"]) == ("code", False)
    assert metadata["recognised"] == "the MGDN authors' weights for exposure"
    assert torch.equal(
        network.stages[1].filters[1].head.conv3.weight, state["layers.1.MGF.kernel_predictor_ext.2.weight"]
    )
    with torch.no_grad():
        assert network(pair()).isfinite().all()


def test_sizes_of_no_task_are_said():
    state = state_of(mgdn_layers(60, 2, 5, 8, 6, 2, (3, 3)))
    with pytest.raises(mgdn_importer.UnlikeError, match=r"no task has these sizes.*blocks 5"):
        mgdn_importer.read(state)


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
