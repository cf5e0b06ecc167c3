"""What the MEF-CL paper says: its row on SICE, the ablation of its losses, and that two under- or two
over-exposed pictures suffice."""

from mefnets.claims import Claim, Skill, Table, Told

FULL = 0.911

TABLE = Table(
    where="comparison on SICE",
    pictures="SICE, test pairs",
    row={"MEF_SSIM": FULL, "CC": 0.946, "PSNR": 58.604, "EI": 80.131},
    others={
        "TransMEF": {"MEF_SSIM": 0.907, "CC": 0.937, "PSNR": 58.602, "EI": 75.35},
        "DeepFuse": {"MEF_SSIM": 0.890, "CC": 0.944, "PSNR": 58.687, "EI": 58.32},
        "U2Fusion": {"MEF_SSIM": 0.835, "CC": 0.937, "PSNR": 58.586, "EI": 75.30},
        "MEF-Net": {"MEF_SSIM": 0.905, "CC": 0.710, "PSNR": 58.166, "EI": 74.35},
        "IFCNN": {"MEF_SSIM": 0.901, "CC": 0.926, "PSNR": 58.41, "EI": 98.78},
    },
)


def _without(part: str, says: str, published: float) -> Claim:
    return Claim(
        name=f"without-{part}",
        says=says,
        where="ablation of the losses",
        without=f"paper_without_{part}",
        measure="MEF_SSIM",
        published=(published, FULL),
    )


CLAIMS = (
    Skill(
        name="two-under",
        says="Two under-exposed pictures become one that is brighter than both.",
        where="figures, breaking exposure limits",
        pictures="two-under",
    ),
    Skill(
        name="two-over",
        says="Two over-exposed pictures become one that is darker than both.",
        where="figures, breaking exposure limits",
        pictures="two-over",
    ),
    _without("mse", "Without the square error brightness is wrong.", 0.889),
    _without("ssim", "Without SSIM the result is blurred.", 0.907),
    _without("contrast", "Without the contrastive term colour is dull and detail weak.", 0.875),
    _without("shallow", "Without the shallow features the result is blurred.", 0.876),
    _without("deep", "Without the deep features there are local errors of colour.", 0.899),
    Skill(
        name="ratios",
        says="It fuses any two exposures.",
        where="title and figures",
        pictures="ratios",
    ),
    Told(
        name="runtime",
        says="It is quicker than TransMEF.",
        where="comparison of costs, one graphics card",
        published="0.033 s a picture of SICE, TransMEF 0.051 s, MEF-Net 0.023 s",
        here="those networks are not here; `mef bench models` tells what ours cost",
    ),
)
