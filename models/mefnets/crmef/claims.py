"""What the CRMEF paper says: its row on SICE, and its ablations of relighting, losses, operators, alignment.

Its measure is the distance to SICE's reference pictures; scenes without a reference are read by MEF-SSIM.
"""

from mefnets.claims import Claim, Skill, Table, Told

FULL = 20.71

TABLE = Table(
    where="comparison on SICE",
    pictures="SICE, 100 pairs with a reference",
    row={"PSNR_GT": FULL, "SSIM_RGB_GT": 0.825, "FSIM": 0.924},
    others={
        "HoLoCo": {"PSNR_GT": 20.09, "SSIM_RGB_GT": 0.819, "FSIM": 0.923},
        "DPE-MEF": {"PSNR_GT": 19.23, "SSIM_RGB_GT": 0.844},
        "HALDER": {"PSNR_GT": 19.91},
        "MEFGAN": {"PSNR_GT": 19.71},
        "U2Fusion": {"PSNR_GT": 17.67},
        "DeFusion": {"PSNR_GT": 12.73},
    },
)


ALIGNED = 22.04  # of misaligned pairs


def _claim(name: str, says: str, where: str, published: float) -> Claim:
    return Claim(name, says, where, f"paper-{name}", measure="PSNR_GT", published=(published, FULL))


def _moved(name: str, says: str, published: float) -> Claim:
    return Claim(
        name,
        says,
        "ablation of alignment",
        f"paper-{name}",
        measure="PSNR_GT",
        published=(published, ALIGNED),
        model="crmef-align",
        moved=True,
    )


_RELIGHTING, _LOSSES, _OPERATORS = "ablation of relighting", "ablation of losses", "table of operators"
CLAIMS = (
    _claim("no-relighting", "Without relighting the result is over-exposed.", _RELIGHTING, 9.57),
    _claim("one-relighting", "One relighting is less than two.", _RELIGHTING, 20.15),
    _claim("three-relightings", "Three relightings are less than two.", _RELIGHTING, 20.56),
    _claim("l1", "The absolute error alone is less than all losses.", _LOSSES, 20.62),
    _claim("l1-gradient", "Without the critic it is less.", _LOSSES, 20.63),
    _claim("l1-critic", "Without the gradient loss it is less.", _LOSSES, 20.66),
    _claim("uniform-3", "3 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.66),
    _claim("uniform-3-dilated", "Dilated ones of 3 px are less than what was searched.", _OPERATORS, 20.68),
    _claim("uniform-5", "5 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.58),
    _claim("uniform-7", "7 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.52),
    _moved("no-alignment", "Without alignment misaligned pairs come out worse.", 19.39),
    _moved("alignment-first", "To align before relighting is less than after it.", 21.73),
    Skill(
        name="misaligned",
        says="It fuses misaligned pairs better than the model that does not align.",
        where="comparison on misaligned pairs",
        pictures="moved",
        model="crmef-align",
        against="crmef",
    ),
    Skill(
        name="ratios",
        says="Trained on the extreme pair, it fuses any two exposures.",
        where="figures, pairs of other exposure ratios",
        pictures="ratios",
    ),
    Told(
        name="no-latency",
        says="A search that does not count latency finds larger networks that are no better.",
        where="ablation of the search",
        published="4.6 and 2.7 million parameters: PSNR 20.61 and 20.65, searched 20.71",
        here="`mef search crmef` with an eta of 0; the README of models/mefnets/crmef has what we found",
    ),
    Told(
        name="flow-first",
        says="Optical flow before fusion is less than alignment within.",
        where="ablation of alignment",
        published="three flows: PSNR 18.68, 18.61, 19.19; within 22.04",
        here="those flows are not here; the claim `misaligned` has ours",
    ),
    Told(
        name="runtime",
        says="The searched network takes less than half the time.",
        where="comparison of costs, one graphics card",
        published="0.047 s a picture of SICE, and 0.021 s",
        here="`mef bench models` tells of both on a processor",
    ),
)
