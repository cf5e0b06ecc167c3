"""CRMEF's authors' files: told by their keys, set up by themselves, and the same function as theirs.

What they compute is written down once more, from the descriptions, and compared.
"""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F

from mefnets.crmef import importer as crmef_importer
from tests.models.pretend_weights import conv, imported, norm, pair, state_of


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
