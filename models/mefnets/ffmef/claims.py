"""What the FFMEF paper says: its table 1 and the ablations of its table 2 and figures."""

from mefnets.claims import Claim, Table, Told

TABLE = Table(
    where="table 1",
    pictures="MEFB, 100 pairs",
    row={
        "EN": 6.9942,
        "FMI": 0.8880,
        "NMI": 0.8311,
        "PSNR": 57.1918,
        "Q_NCIE": 0.8206,
        "AG": 5.0976,
        "Q_ABF": 0.6584,
        "CE": 2.7933,
        "Q_P": 0.6073,
        "Q_W": 0.8357,
        "MEF_SSIM": 0.9621,
        "Q_CB": 0.4102,
        "Q_CV": 248.09,
        "VIF": 0.7119,
    },
    others={
        "MEFNet": {"MEF_SSIM": 0.9139},
        "TransMEF": {"MEF_SSIM": 0.9499},
        "DPE-MEF": {"MEF_SSIM": 0.9452},
        "IFCNN": {"MEF_SSIM": 0.9432},
        "FMMEF": {"MEF_SSIM": 0.9737},
        "PWA": {"MEF_SSIM": 0.9654},
    },
    jpeg_quality=75,
)


def _filters(name: str, sides: str, published: float) -> Claim:
    return Claim(
        name=f"filters-{name}",
        says=f"Filters of {sides} have less structure than those of 1, 3 and 5 px.",
        where="table 2",
        without=f"paper-filters-{name}",
        measure="MEF_SSIM",
        published=(published, 0.9621),
    )


CLAIMS = (
    _filters("1", "1 px alone", 0.9051),
    _filters("1-3", "1 and 3 px", 0.9368),
    _filters("3-5", "3 and 5 px", 0.9042),
    _filters("1-3-5-7", "1, 3, 5 and 7 px", 0.9314),
    Claim(
        name="no-global",
        says="Without the gradient loss over the whole picture there are seams.",
        where="figure, ablation of the loss",
        without="paper-no-global",
        instead="Q_ABF",
    ),
    Claim(
        name="plain-mean",
        says="A plain mean in place of saturation weights lowers contrast.",
        where="figure, ablation of the loss",
        without="paper-plain-mean",
        instead="SD",
    ),
    Claim(
        name="raw-masks",
        says="Weights from raw gradients in place of masks lose detail.",
        where="figure, ablation of the loss",
        without="paper-raw-masks",
        instead="Q_ABF",
    ),
    Claim(
        name="structure-loss",
        says="The loss of MEF-SSIM fails in extreme places.",
        where="figure, comparison of losses",
        without="paper-structure-loss",
        instead="Q_CV",
    ),
    Claim(
        name="proportional-loss",
        says="PMGI's proportional loss keeps less.",
        where="figure, comparison of losses",
        without="paper-proportional-loss",
        instead="MEF_SSIM",
    ),
    Told(
        name="focus-stacks",
        says="It fuses focus stacks, too.",
        where="comparison on focus stacks",
        published="EN 7.3846, Q_CV 77.59, VIF 0.9156",
        here="its pictures are others: docs/focus.md judges `ffmef-focus` on pairs and simulated stacks",
    ),
    Told(
        name="infrared",
        says="It fuses visible and infrared pairs, too.",
        where="comparison on VIFB",
        published="PSNR 58.32, SSIM 1.4202, Q_CV 837.9",
        here="docs/infrared.md has the same measures on five of the 21 pairs",
    ),
    Told(
        name="runtime",
        says="It takes 30 % less time than DPE-MEF, 77 % less than TransMEF.",
        where="comparison of costs, one graphics card",
        published="as said",
        here="neither network is here; `mef bench models` tells what ours cost",
    ),
)
