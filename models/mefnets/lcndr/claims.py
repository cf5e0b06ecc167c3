"""What the LCNDR paper says: its row on SICE, and its ablations of modules, attentions and branch ends.

Which row of the table of modules drops which is lost in the copy that we have: those claims stand without
the printed figures (0.916, 0.866 and 0.925 against 0.936).
"""

from mefnets.claims import Claim, Skill, Table, Told

FULL = 0.936

TABLE = Table(
    where="comparison on SICE",
    pictures="SICE, 29 pairs",
    row={"MEF_SSIM": FULL, "PSNR_GT": 19.521, "MI": 7.176, "CC": 0.980},
    others={
        "CF-Net": {"MEF_SSIM": 0.940, "PSNR_GT": 19.413, "MI": 3.156, "CC": 0.792},
        "HALDER": {"MEF_SSIM": 0.928, "PSNR_GT": 19.231, "MI": 4.592, "CC": 0.899},
        "SD-Net": {"MEF_SSIM": 0.926, "PSNR_GT": 18.953, "MI": 5.014, "CC": 0.843},
        "U2Fusion": {"MEF_SSIM": 0.875, "PSNR_GT": 16.810, "MI": 4.889, "CC": 0.977},
        "GBM": {"MEF_SSIM": 0.930, "PSNR_GT": 17.248, "MI": 3.767, "CC": 0.962},
        "MEF-Net": {"MEF_SSIM": 0.906, "PSNR_GT": 17.106},
        "IFCNN": {"MEF_SSIM": 0.915, "PSNR_GT": 17.320},
    },
)


def _claim(name: str, says: str, where: str, without: str, published: float | None = None) -> Claim:
    pair = None if published is None else (published, FULL)
    return Claim(name, says, where, f"paper_{without}", measure="MEF_SSIM", published=pair)


_MODULES, _ATTENTIONS, _ENDS = "ablation of modules", "ablation of attentions", "ablation of branch ends"
CLAIMS = (
    _claim("without-cem", "Without collaborative extraction the result is darker.", _MODULES, "without_cem"),
    _claim("without-sam", "Self-attention adds structure.", _MODULES, "without_sam"),
    _claim("without-erm", "Without edge revision the result is over-exposed.", _MODULES, "without_erm"),
    _claim("one-attention", "One attention is less than three.", _ATTENTIONS, "one_attention", 0.930),
    _claim("two-attentions", "Two attentions are less than three.", _ATTENTIONS, "two_attentions", 0.933),
    _claim("add-add", "Two ends that add over-expose.", _ENDS, "add_add", 0.886),
    _claim("add-multiply", "The ends exchanged make artefacts.", _ENDS, "add_multiply", 0.816),
    _claim("multiply-multiply", "Two ends that multiply are less.", _ENDS, "multiply_multiply", 0.902),
    Claim(
        name="without-coordination",
        says="Without colour coordination, each plane fused by itself, colours are less true.",
        where="colour coordination; our copy has no figures",
        without="paper_without_coordination",
        instead="colour",
    ),
    Skill(
        name="sequence",
        says="Three frames, one after another, tell more than two.",
        where="figures, sequential fusion",
        pictures="sequence",
    ),
    Told(
        name="classic-sequences",
        says="It leads on fifteen classic sequences as well.",
        where="comparison on classic sequences",
        published="MEF_SSIM 0.945, MI 6.872, CC 0.924 (SD-Net 0.932 in MEF_SSIM)",
        here="the sequences may not be passed on; `mef eval` measures a folder of them",
    ),
    Told(
        name="flow-first",
        says="Optical flow before it leaves fewer ghosts.",
        where="figures, moving scenes",
        published="pictures",
        here="the paper's flow is RAFT, ours classical: docs/alignment.md",
    ),
    Told(
        name="runtime",
        says="It is nearly as quick as MEF-Net.",
        where="comparison of costs, one graphics card",
        published="0.079 s a picture of SICE, MEF-Net 0.047 s",
        here="that network is not here; `mef bench models` tells what ours cost",
    ),
)
