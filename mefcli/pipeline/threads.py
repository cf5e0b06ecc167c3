"""OpenCV's threads, while a stage is at work with it."""

from __future__ import annotations

import cv2

from mefnets.engine.threads import Lent


def _set(number: int) -> None:
    cv2.setNumThreads(1)  # ends those that wait for work: a fork would leave its child waiting for them
    cv2.setNumThreads(number)


OPENCV = Lent(cv2.getNumThreads, _set)
