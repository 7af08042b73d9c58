#!/usr/bin/env python3
"""Everything the package does, over and over in one process; what it holds must not grow.

    scripts/soak.py --minutes 120

A round opens sessions, makes videos from text and from pictures, saves them in every format,
decodes latents, converts a tiny checkpoint, describes files, and meets every kind of error, at
times in two threads. After each round the process is measured; a line a minute shows it. At the
end the medians of the second and of the last sixth of the rounds are compared: exit code 1 where
one has grown by more than its bound.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import gc
import random
import statistics
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import ltx2
from ltx2.convert import convert

sys.path.insert(0, str(Path(__file__).parent))
import make_tiny

# What is measured, and by how much its median may grow. The system's allocator keeps memory for
# later, in steps of up to 32 MiB a thread; what is allocated of it has no such steps, but for one:
# Python's table of names may once grow by 939 KiB. Its cache of attributes keeps up to 4096 names.
BOUNDS = {
    "memory KiB": 48 * 1024,  # anonymous: what this process alone has written
    "allocated KiB": 512 + 939,
    "blocks": 5000,  # of Python's own memory, some 100 bytes each
    "mappings": 16,
    "descriptors": 0,
    "threads": 0,
    "files": 0,
}
LEAST = 12  # rounds, however short the time
FORMATS = (".mp4", ".gif", ".webp", ".png", ".npy")
TYPES = ("f32", "f16", "q8_0", "q5_1", "q4_0")
SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 2}
PROMPT = "a red circle moves right on a blue background"


class Round:
    """The jobs of a round, in the order of a random generator; each leaves nothing behind."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        make_tiny.generate("base", folder / "model")
        self.checkpoint = folder / "model" / "ltx-tiny-base.safetensors"
        self.model = [self.checkpoint, folder / "model" / "gemma"]
        self.cut = folder / "cut.safetensors"
        self.cut.write_bytes(self.checkpoint.read_bytes()[:100_000])
        self.picture = folder / "picture.png"
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 80, 3), np.uint8)
        Image.fromarray(pixels).save(self.picture)
        self.photo = folder / "photo.jpg"
        Image.fromarray(pixels).save(self.photo)
        self.resident = ltx2.Session(self.model, keep_loaded=True)
        self.count = 0

    def run(self) -> None:
        """Once everything; the type of a conversion is another one each time."""
        jobs: list[Callable[[], object]] = [
            self.text,
            self.pictures,
            self.goes_on,
            self.kept_loaded,
            self.two_sessions,
            self.one_session_in_two_threads,
            self.conversion,
            self.descriptions,
            self.stopped,
            *map(functools.partial(functools.partial, self.refused), self.errors()),
        ]
        self.random.shuffle(jobs)
        for job in jobs:
            job()
        self.count += 1

    def options(self) -> ltx2.Options:
        guided: ltx2.Options = {"guidance": 3.0, "stg": 1.0, "rescale": 0.7}
        plain: ltx2.Options = {"guidance": 0, "stg": 0}
        return {**SMALL, **self.random.choice((guided, plain)), "seed": self.random.getrandbits(32)}

    # ---- what works

    def text(self) -> None:
        kept: list[Any] = []
        with ltx2.Session(self.model, threads=self.random.choice((0, 1, 3))) as session:
            video = session.t2v(PROMPT, latents=kept.append, **self.options())
            again = session.decode(kept[0])
        assert np.array_equal(video.frames, again.frames)
        self.save(video)

    def save(self, video: ltx2.Video) -> None:
        """Where the last round's outputs are."""
        for ending in FORMATS:
            video.save(self.folder / f"video{ending}")

    def pictures(self) -> None:
        with ltx2.Session(self.model) as session:
            video = session.i2v(PROMPT, {0: self.picture, 8: (self.photo, 0.5)}, **self.options())
        video.save(self.folder / f"pictures{FORMATS[self.count % len(FORMATS)]}")

    def goes_on(self) -> None:
        """A job, resumed; an encoded prompt; a preview; a clip made again."""
        job, clip = self.folder / "video.job", self.folder / "again.gif"
        with ltx2.Session(self.model) as session:
            features = session.encode(PROMPT, guidance=3.0)
            session.t2v(features, job=job, preview=lambda _: None, **self.options())
            session.resume(job).save(clip)
            session.replay(clip)
        job.unlink()

    def kept_loaded(self) -> None:
        with ltx2.Session(self.model, keep_loaded=True) as session:
            for other in (session, self.resident):
                other.t2v(PROMPT, progress=lambda _: None, **self.options())

    def two_sessions(self) -> None:
        sessions = [ltx2.Session(self.model, threads=2) for _ in range(2)]
        self.both(*(lambda s=s: s.t2v(PROMPT, **self.options()) for s in sessions))
        for session in sessions:
            session.close()

    def one_session_in_two_threads(self) -> None:
        make = functools.partial(self.resident.t2v, PROMPT, **SMALL)
        self.both(make, make)

    @staticmethod
    def both(*calls: Callable[[], Any]) -> None:
        """The calls in threads of their own, all at once."""
        done: list[Any] = []
        threads = [threading.Thread(target=lambda c=c: done.append(c())) for c in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == len(calls)

    def conversion(self) -> None:
        source = self.random.choice(self.model)
        kind = TYPES[self.count % len(TYPES)]
        made = convert(source, self.folder / "converted.gguf", kind, progress=lambda _: None)
        assert ltx2.describe(made)["problem"] is None

    def descriptions(self) -> None:
        ltx2.describe(self.checkpoint)
        ltx2.capabilities()
        ltx2.devices()

    # ---- what does not

    def stopped(self) -> None:
        """Cancelled, and by an exception of the progress function, each anywhere in a call."""

        def fails(_: ltx2.Progress) -> None:
            if self.random.random() < 0.05:
                raise ZeroDivisionError

        def cancels(_: ltx2.Progress) -> None:
            if self.random.random() < 0.05:
                session.cancel()

        with ltx2.Session(self.model) as session:
            for progress in (fails, cancels):
                with contextlib.suppress(ZeroDivisionError, ltx2.CancelledError):
                    session.i2v(PROMPT, self.picture, progress=progress, **self.options())
        with contextlib.suppress(ZeroDivisionError):
            convert(self.checkpoint, self.folder / "converted.gguf", progress=fails)

    def errors(self) -> list[Callable[[], object]]:
        make, folder = self.resident.t2v, self.folder
        frames = np.zeros((2, 31, 32, 3), np.uint8)
        return [
            lambda: ltx2.Session(self.cut),
            lambda: ltx2.Session(self.picture),
            lambda: ltx2.Session(folder / "no such file"),
            lambda: ltx2.Session(self.checkpoint).encode(PROMPT),  # no text encoder
            lambda: ltx2.Session(self.model, device="no such device"),
            lambda: ltx2.describe(self.picture),
            lambda: convert(self.cut, folder / "converted.gguf"),
            lambda: make(PROMPT, width=8192, height=8192, frames=4097),  # out of memory
            lambda: make(PROMPT, width=500),
            lambda: make(PROMPT, noise=np.zeros((1, 1, 1, 1), np.float32)),
            lambda: self.resident.decode(np.zeros((1, 1, 1, 1), np.float32)),
            lambda: self.resident.i2v(PROMPT, self.cut, **SMALL),
            lambda: ltx2.Video(frames, 24).save(folder / "odd.mp4"),
            lambda: ltx2.Video(frames, 24).save(folder / "no such folder" / "video.gif"),
            lambda: ltx2.Video(frames, 24).save(folder / "video.xyz"),
        ]

    @staticmethod
    def refused(call: Callable[[], object]) -> None:
        try:
            call()
        except ltx2.InternalError:
            raise
        except (ltx2.Error, OSError):
            return
        raise AssertionError("an error was expected")


class _Mallinfo2(ctypes.Structure):
    """Of malloc.h."""

    _before = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")
    _fields_ = tuple((name, ctypes.c_size_t) for name in (*_before, "uordblks", "fordblks", "keep"))


_mallinfo2 = ctypes.CDLL(None).mallinfo2
_mallinfo2.restype = _Mallinfo2


def measured(folder: Path) -> dict[str, int]:
    """What the process holds, by the names of BOUNDS."""
    gc.collect()
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    anonymous = next(line for line in rollup if line.startswith("Anonymous:"))
    heap = _mallinfo2()
    return {
        "memory KiB": int(anonymous.split()[1]),
        "allocated KiB": (heap.uordblks + heap.hblkhd) // 1024,
        "blocks": sys.getallocatedblocks(),
        "mappings": Path("/proc/self/maps").read_text().count("\n"),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": sum(1 for _ in Path("/proc/self/task").iterdir()),
        "files": sum(1 for _ in folder.rglob("*")),
    }


def grown(samples: dict[str, array[int]]) -> list[str]:
    """What has grown beyond its bound, in words."""
    words = []
    for name, values in samples.items():
        sixth = len(values) // 6
        early = statistics.median(values[sixth : 2 * sixth])
        late = statistics.median(values[-sixth:])
        print(f"{name:14}{early:10g} ->{late:10g}   at most {BOUNDS[name]} more")
        if late - early > BOUNDS[name]:
            words.append(f"{name} grew from {early:g} to {late:g}")
    return words


def soak(folder: Path, seconds: float, seed: int) -> list[str]:
    jobs = Round(folder, seed)
    for _ in FORMATS:  # what is made once: imports, caches, every output's file
        jobs.run()
    samples = {name: array("q") for name in BOUNDS}  # of bytes, so that it is no growth itself
    begin = shown = time.monotonic()
    rounds = 0
    while time.monotonic() - begin < seconds or rounds < LEAST:
        jobs.run()
        rounds += 1
        for name, value in measured(folder).items():
            samples[name].append(value)
        if time.monotonic() - shown >= 60:
            shown += 60
            last = ", ".join(f"{name} {values[-1]}" for name, values in samples.items())
            print(f"{(shown - begin) / 60:.0f} min, {rounds} rounds: {last}", flush=True)
    print(f"{rounds} rounds in {time.monotonic() - begin:.0f} s, seed {seed}")
    return grown(samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ltx2-soak-") as name:
        folder = Path(name)
        tempfile.tempdir = str(folder)  # so that what is left there is counted too
        words = soak(folder, arguments.minutes * 60, arguments.seed)
    sys.exit("; ".join(words) or None)


if __name__ == "__main__":
    main()
