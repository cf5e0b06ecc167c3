"""OpenCV's own threads: none while strips are at work, none that a fork leaves its child waiting for."""

from __future__ import annotations

import os

import cv2

from mefnets.engine.threads import Lent

THREADS = Lent(cv2.getNumThreads, cv2.setNumThreads)


def _end_waiting_threads() -> None:
    """A child has none of them, and would wait for their end when it is told another number of threads."""
    number = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setNumThreads(number)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_waiting_threads)
