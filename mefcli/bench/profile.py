"""Where the time and the memory of one fusion go, stage by stage.

Run as `python -m mefcli.bench.profile OUT JOB FILES...` (the job as JSON) in a process of its own,
whose memory is that of this fusion alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from mefcli.clock import Clock, peak_memory_mb

START = "start-up"


@dataclass(frozen=True)
class Stage:
    name: str
    cpu_s: float  # of all threads; importing the engine meanwhile counts where it happens
    wall_s: float
    peak_mb: float  # the most memory held by the end of the stage


class StageClock(Clock):
    """A clock that also counts the processor and the memory."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = [Stage(START, time.process_time(), 0.0, peak_memory_mb() or 0.0)]

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        with super().__call__(stage):
            yield
        took = time.process_time() - cpu, time.perf_counter() - wall
        self.stages.append(Stage(stage, *took, peak_memory_mb() or 0.0))


def profile(files: Sequence[Path], folder: Path, settings: Mapping[str, object]) -> list[Stage]:
    """The stages of one `mef fuse` of these files, with these options, into a TIFF that is not kept."""
    from mefcli.bench.measure import run

    out = folder / "profile.tif"
    try:
        module = ("-m", "mefcli.bench.profile")
        words: list[str | Path] = [sys.executable, *module, out, json.dumps(settings), *files]
        return [Stage(**one) for one in json.loads(run(words, folder).said.splitlines()[-1])]
    finally:
        out.unlink(missing_ok=True)


def main(out: str, settings: str, files: Sequence[str]) -> None:
    from mefcli import api, pipeline
    from mefcli.job import Job

    clock = StageClock()
    job = Job(**json.loads(settings))
    with clock("plan"):
        bracket = api.plan(files, job=job)
    pipeline.run(bracket, [Path(out)], job, clock=clock)
    sys.stdout.write(json.dumps([asdict(one) for one in clock.stages]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
