"""MGDN's authors' files: told by their keys, set up by themselves, and the same function as theirs.

What they compute is written down once more, from the descriptions, and compared.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mefnets.mgdn import importer as mgdn_importer
from mefnets.mgdn.network import build as build_mgdn
from tests.models.pretend_weights import conv, imported, pair, state_of


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
