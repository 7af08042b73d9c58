"""Jobs that are killed at random moments, again and again: each goes on, to the same bits.

    LTX2_KILLS=200 pytest tests/kills/test_killed_jobs.py

is the full run, each with one to three kills; LTX2_KILLS_SEED chooses other moments. Half of them
lie anywhere in a run, half after the job was first saved. What a kill leaves is the job, whole, or,
before it was first saved, nothing; the output appears complete, once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ltx2
from ltx2.jobs import Job

KILLS = int(os.environ.get("LTX2_KILLS", "2"))
SEED = int(os.environ.get("LTX2_KILLS_SEED", "0"))
SIGNALS = (*[signal.SIGKILL] * 4, signal.SIGTERM, signal.SIGINT)
SETTINGS = ("--steps", "6", "--seed", "1", "--width", "64", "--height", "64", "--frames", "17")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals"),
    pytest.mark.usefixtures("command"),
]

seen: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def summary() -> Iterator[None]:
    yield
    print("\n" + ", ".join(f"{words}: {count}" for words, count in sorted(seen.items())))


def start(place: Path, *line: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ltx2", *line], cwd=place,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def time_of(job: Path) -> int:
    """When it was saved; 0 where it is not there."""
    try:
        return job.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def wait_for_save(job: Path, before: int, run: subprocess.Popen[bytes]) -> None:
    """Until it has another time than that, or the run ends."""
    while run.poll() is None and time_of(job) == before:
        time.sleep(0.002)


class Work:
    """A video by its command; how long that takes undisturbed, and its part with a job."""

    def __init__(self, line: list[str], place: Path) -> None:
        self.line = line
        place.mkdir()
        begin = time.monotonic()
        run = start(place, *line)
        wait_for_save(place / "clip.job", 0, run)
        saved = time.monotonic()
        said = run.communicate()[1]
        assert run.returncode == 0, said
        self.seconds, self.rest = time.monotonic() - begin, time.monotonic() - saved
        self.result = (place / "clip.npy").read_bytes()


@pytest.fixture(scope="module")
def works(tiny_model: list[Path], folder: Path) -> Iterator[list[Work]]:
    """From text, and from pictures."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONPATH", str(Path(ltx2.__file__).parents[1]))
    picture = folder / "in.png"
    frames = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    ltx2.Video(frames, 1).save(picture)
    first = str(picture)
    models = [word for file in tiny_model for word in ("--model", str(file))]
    common = ["-o", "clip.npy", "--job", "clip.job", "--threads", "1", *SETTINGS, *models]
    yield [
        Work(["t2v", "a dot", *common], folder / "t2v"),
        Work(["i2v", "a dot", first, f"{first}@16:0.5", *common], folder / "i2v"),
    ]
    patch.undo()


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_job_goes_on_to_the_same_bits(
    number: int, works: list[Work], tmp_path: Path
) -> None:
    draw = random.Random(f"{SEED}/{number}")
    work = works[number % 2]
    output, job = tmp_path / "clip.npy", tmp_path / "clip.job"
    line = work.line
    kills = draw.choice([1, 1, 2, 3])
    for kill in range(kills + 1):
        before = time_of(job)
        run = start(tmp_path, *line)
        if kill < kills:
            late, share, sent = draw.random() < 0.5, draw.random(), draw.choice(SIGNALS)
            if late:
                wait_for_save(job, before, run)
            time.sleep(share * (work.rest if late else work.seconds))
            seen[f"sent {sent.name}"] += run.poll() is None
            run.send_signal(sent)
        said = run.communicate(timeout=600)[1].decode()
        assert run.returncode == 0 or kill < kills, said
        if output.exists():
            assert output.read_bytes() == work.result
            seen["finished"] += 1
        elif job.exists():
            seen[f"killed after step {Job.load(job).request.step}"] += 1  # or it is damaged
        else:
            seen["killed before there was a job"] += 1
        if job.exists():
            line = ["resume", "clip.job", "-o", "clip.npy", "--threads", str(1 + kill % 2)]
        elif output.exists():
            break
    assert output.read_bytes() == work.result
    strays = {path.name for path in tmp_path.iterdir()} - {"clip.npy"}
    if strays:  # of a SIGKILL between two names; the next write removes them
        ltx2.Video(np.zeros((1, 32, 32, 3), np.uint8), 1).save(tmp_path / "next.npy")
        strays = {path.name for path in tmp_path.iterdir()} - {"clip.npy", "next.npy", "clip.job"}
    assert not strays
