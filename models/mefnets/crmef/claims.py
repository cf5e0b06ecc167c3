"""What the CRMEF paper says: its row on SICE, and its ablations of relighting, losses and operators.

Its measure is the distance to SICE's reference pictures; scenes without a reference are read by MEF-SSIM.
The losses are compared as the paper has them; relighting and operators are changes to our own recipe.
"""

from mefnets.claims import Claim, Table

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


def _claim(name: str, says: str, where: str, published: float, full: str = "untaught") -> Claim:
    return Claim(name, says, where, name, full, measure="PSNR_GT", published=(published, FULL))


_RELIGHTING, _LOSSES, _OPERATORS = "ablation of relighting", "ablation of losses", "table of operators"
CLAIMS = (
    _claim("no-relighting", "Without relighting the result is over-exposed.", _RELIGHTING, 9.57),
    _claim("one-relighting", "One relighting is less than two.", _RELIGHTING, 20.15),
    _claim("three-relightings", "Three relightings are less than two.", _RELIGHTING, 20.56),
    _claim("l1", "The absolute error alone is less than all losses.", _LOSSES, 20.62, "critic"),
    _claim("l1-gradient", "Without the critic it is less.", _LOSSES, 20.63, "critic"),
    _claim("l1-critic", "Without the gradient loss it is less.", _LOSSES, 20.66, "critic"),
    _claim("uniform-3", "3 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.66),
    _claim("uniform-5", "5 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.58),
    _claim("uniform-7", "7 px convolutions everywhere are less than what was searched.", _OPERATORS, 20.52),
)
