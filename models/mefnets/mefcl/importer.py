"""What is public under MEF-CL's name: no weights of the paper's network. Says so instead of guessing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from mefnets.published import Published, UnlikeError

OTHERS = {  # keys of the public PyTorch code's files -> what they belong to
    "sAtt_L2.weight": "one of the two attention networks of the public PyTorch code",
    "CondNet.0.weight": "the Retinex network of the public PyTorch code",
}


def knows(keys: Iterable[str]) -> bool:
    return bool(set(keys) & set(OTHERS))


def read(theirs: Mapping[str, Tensor]) -> Published:
    words = next(words for key, words in OTHERS.items() if key in theirs)
    raise UnlikeError(
        f"this is {words}, not the paper's ten dense layers; none of its layers has a place there"
    )
