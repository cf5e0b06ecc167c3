"""What the MGDN paper says of exposure fusion, and its ablations.

The paper shows its ablations on moving brackets (Kalantari's, PSNR-mu: 44.16 without mutual guidance, 44.08
with constant kernels, 44.23 without masked mutual information, 44.46 in full). Here they are read on exposure
pairs.
"""

from mefnets.claims import Claim, Table

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

CLAIMS = (
    Claim(
        name="own-guidance",
        says="Guidance by the other frame is worth more than by the frame itself.",
        where="ablation, moving brackets",
        without="paper_own_guidance",
    ),
    Claim(
        name="static-filters",
        says="Filters made for every pixel are worth more than constant ones.",
        where="ablation, moving brackets",
        without="paper_static_filters",
    ),
    Claim(
        name="without-mi",
        says="Masked mutual information makes better pictures.",
        where="ablation, moving brackets",
        without="paper_without_mi",
    ),
)
