"""What the MGDN paper says of exposure fusion, and its ablations.

The paper's ablations are of moving brackets (Kalantari's, by PSNR-mu). Here they are read on exposure pairs.
Its SSIM on MEFB (0.9435) is left out of the table: which pictures it compares is not said.
"""

from mefnets.claims import Claim, Table, Told

FULL = 44.46

TABLE = Table(
    where="results on MEFB",
    pictures="MEFB, 100 pairs",
    row={"CE": 2.3624, "Q_CB": 0.4883, "VIF": 0.8538},
    others={
        "SwinFusion": {"CE": 2.8816, "Q_CB": 0.4143, "VIF": 0.7417},
        "U2Fusion": {"CE": 2.9761, "Q_CB": 0.4174, "VIF": 0.8358},
        "SPD-MEF": {"Q_CB": 0.4551},
    },
    jpeg_quality=75,
)


def _claim(name: str, says: str, published: float) -> Claim:
    return Claim(
        name=name,
        says=says,
        where="ablation, moving brackets",
        without=f"paper_{name.replace('-', '_')}",
        published=(published, FULL),
        theirs="PSNR-mu of moving brackets",
    )


CLAIMS = (
    _claim("own-guidance", "Guidance by the other frame is worth more than by the frame itself.", 44.16),
    _claim("static-filters", "Filters made for every pixel are worth more than constant ones.", 44.08),
    _claim("without-mi", "Masked mutual information makes better pictures.", 44.23),
    Told(
        name="focus",
        says="The same network fuses focus stacks.",
        where="comparison on focus stacks",
        published="Lytro: Q_ABF 0.740, EN 7.533, PSNR 64.835; MFFW: 0.701, 7.127, 63.377",
        here="docs/focus.md judges `mgdn-focus` on five pairs of such a camera and on simulated stacks",
    ),
    Told(
        name="moving",
        says="The same network removes ghosts from moving brackets.",
        where="comparison on Kalantari's brackets",
        published="PSNR-mu 44.46, PSNR-L 42.22 (HDR-Transformer 44.20, 42.15)",
        here="`mef bench moving` measures ours on simulated scenes: docs/alignment.md",
    ),
    Told(
        name="depth",
        says="The same network enlarges depth beside a colour picture.",
        where="comparison on NYU v2",
        published="RMSE, cm, x4, x8, x16: 1.49, 3.11, 5.81 (DCTNet 1.59, 3.16, 5.84)",
        here="`mef bench depth` measures ours, on three of its rooms in docs/depth.md",
    ),
)
