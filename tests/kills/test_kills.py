"""Commands that are killed at random moments: each output is the old one or the new one, complete.

    LTX2_KILLS=300 pytest tests/kills

is the full run, over generating, saving in each format and converting; LTX2_KILLS_SEED chooses
other moments. Half of them lie anywhere in a run, half where it has something unfinished on the
disk. SIGTERM, SIGINT and SIGHUP must leave nothing behind; what SIGKILL leaves, the next run
removes.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors

import ltx2

KILLS = int(os.environ.get("LTX2_KILLS", "8"))
SEED = int(os.environ.get("LTX2_KILLS_SEED", "0"))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
DECODE, T2V, CONVERT = "decode", "t2v", "convert"
JOBS = (
    (DECODE, ".mp4"), (DECODE, ".png"), (CONVERT, ".gguf"), (T2V, ".webp"), (DECODE, ".gif"),
    (T2V, ".npy"), (DECODE, ".webp"), (T2V, ".png"), (DECODE, ".npy"), (T2V, ".mp4"), (T2V, ".gif"),
)  # fmt: skip

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.usefixtures("command"),
]

Content = bytes | dict[str, bytes]
Span = tuple[float, float]


def content(path: Path) -> Content:
    """The bytes of a file, or of the files of a folder."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


@dataclass
class Run:
    """A command at work in a folder; `unfinished` is when more than its outputs lay there."""

    process: subprocess.Popen[bytes]
    folder: Path
    named: set[str]
    begin: float = field(default_factory=time.monotonic)
    unfinished: list[Span] = field(default_factory=list)

    def now(self) -> float:
        return time.monotonic() - self.begin

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Until then, or its end."""
        inside = False
        while self.process.poll() is None and not until():
            now, more = self.now(), bool(set(os.listdir(self.folder)) - self.named)  # noqa: PTH208
            if more:
                begin = self.unfinished.pop()[0] if inside else now
                self.unfinished.append((begin, now))
            inside = more
            time.sleep(0.0005)

    def works(self) -> bool:
        """Whether it has said what it does with signals: before that, there is nothing to lose."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


class Job:
    """One command with its old outputs, and what an undisturbed run makes of them, and when."""

    def __init__(self, line: list[str], old: dict[str, Path], folder: Path) -> None:
        self.line = line  # the words of the command; outputs by their names
        self.old = old
        self.before = {name: content(path) for name, path in old.items()}
        run = self.start(folder)
        run.watch()
        self.seconds, self.unfinished = run.now(), run.unfinished
        said = run.process.communicate()[1]
        assert run.process.returncode == 0, said
        self.after = {name: content(folder / name) for name in old}
        assert not [name for name in old if self.after[name] == self.before[name]]

    def start(self, folder: Path) -> Run:
        folder.mkdir(exist_ok=True)
        for name, path in self.old.items():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, folder / name)
        return self.resume(folder)

    def resume(self, folder: Path) -> Run:
        process = subprocess.Popen(
            [sys.executable, "-m", "ltx2", *self.line], cwd=folder,
            env={**os.environ, "SOURCE_DATE_EPOCH": "0"},  # files are compared as they are
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        return Run(process, folder, set(self.old))

    def moment(self, draw: random.Random, run: Run) -> Callable[[], bool]:
        """True from a random moment on: anywhere, or while there is something unfinished."""
        anywhere = draw.uniform(0, self.seconds)
        if draw.random() < 0.5 or not self.unfinished:
            return lambda: run.now() >= anywhere
        which = draw.randrange(len(self.unfinished))
        begin, end = self.unfinished[which]
        later = draw.uniform(0, 1.2 * (end - begin) + 0.002)
        return lambda: len(run.unfinished) > which and run.now() >= run.unfinished[which][0] + later


@pytest.fixture(scope="module")
def job(tiny_model: list[Path], folder: Path) -> Callable[[str, str], Job]:
    """The job of that kind and ending, made once."""

    @functools.cache
    def made(kind: str, ending: str) -> Job:
        place = folder / f"{kind}{ending[1:]}"
        place.mkdir()
        old, output = place / f"old{ending}", f"new{ending}"
        if kind == CONVERT:
            old.write_bytes(b"what was here before")
            source = large_checkpoint(tiny_model[0], folder / "large.safetensors")
            line = [CONVERT, str(source), "-o", output, "--type", "q8_0"]
            return Job(line, {output: old}, place / "run")
        ltx2.Video(np.full((3, 32, 32, 3), 128, np.uint8), 24).save(old)
        models = [word for file in tiny_model for word in ("--model", str(file))]
        models += ["--threads", "1"]  # two that wait for each other are slow where others run too
        line = [DECODE, str(large_latents(folder / "latents.npy")), "-o", output, *models]
        if kind == DECODE:
            return Job(line, {output: old}, place / "run")
        line = [T2V, "a dot", "-o", output, "--seed", "1", "--steps", "1", *models]
        line += ["--latents", "kept.npy", "--width", "64", "--height", "64", "--frames", "9"]
        np.save(place / "kept.npy", np.zeros(1, np.float32))
        return Job(line, {output: old, "kept.npy": place / "kept.npy"}, place / "run")

    return made


def large_checkpoint(tiny: Path, path: Path) -> Path:
    """One that takes a while to convert: the tiny one and 64 MiB."""
    tensors, metadata = read_safetensors(tiny)
    values = np.random.default_rng(0).standard_normal((2048, 4096), np.float32)
    for i in range(4):
        tensors[f"model.diffusion_model.transformer_blocks.0.ff.{i}.weight"] = ("F16", values)
    return write_safetensors(path, tensors, metadata)


def large_latents(path: Path) -> Path:
    """Those of a video that takes a while to save: 17 frames of 192 x 192."""
    if not path.exists():
        values = np.random.default_rng(0).standard_normal((8, 3, 6, 6)).astype(np.float32)
        np.save(path, values)
    return path


seen: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def summary() -> Iterator[None]:
    yield
    print("\n" + ", ".join(f"{words}: {count}" for words, count in sorted(seen.items())))


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_command_leaves_the_old_output_or_the_new_one(
    number: int, job: Callable[[str, str], Job], tmp_path: Path
) -> None:
    kind, ending = JOBS[number // 2 % len(JOBS)]
    with_signal = SIGNALS[number % len(SIGNALS)]
    what = job(kind, ending)
    run = what.start(tmp_path)
    run.watch(what.moment(random.Random(f"{SEED}/{number}"), run))
    worked = run.process.poll() is None and run.works()
    run.process.send_signal(with_signal)
    said = run.process.communicate(timeout=600)[1].decode()
    code = run.process.returncode
    check_end(with_signal, code, said, worked=worked)

    now = {name: content(tmp_path / name) for name in what.old}
    for name, held in now.items():
        assert held in (what.before[name], what.after[name]), f"{name} is neither old nor new"
    changed = now == what.after
    assert changed or code != 0
    strays = set(os.listdir(tmp_path)) - set(what.old)  # noqa: PTH208
    seen[f"{with_signal.name}, {'new' if changed else 'old'}{', strays' if strays else ''}"] += 1
    if with_signal == signal.SIGKILL:
        again = what.resume(tmp_path)
        assert again.process.communicate(timeout=600)
        assert again.process.returncode == 0
        assert {name: content(tmp_path / name) for name in what.old} == what.after
        strays = set(os.listdir(tmp_path)) - set(what.old)  # noqa: PTH208
    assert not strays


def check_end(number: signal.Signals, code: int, said: str, *, worked: bool) -> None:
    """Exit codes are those of docs/cli.md; before a process is at work, Python's own."""
    if number == signal.SIGKILL:
        assert code in (0, -number)
    elif worked:
        assert code in (0, 128 + number), said
        assert "Traceback" not in said
    else:
        assert code in (0, 1, -number, 128 + number), said
