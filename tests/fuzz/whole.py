#!/usr/bin/env python3
"""Whole calls on tiny models whose files' structure was changed at random: generate, convert.

    tests/fuzz/whole.py generate --seconds 60 [--seed 1] [--keep FOLDER]

Each runs in a process of its own. A finding is one that ends by a signal, takes over ten seconds of
processor time or over 400 MiB, raises what is not documented, calls itself a defect of the library
(InternalError), says what is not one line of printable text, or leaves files behind. Findings are
printed, their files kept, and the status is 1.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).parent))
import make_tiny
import mutations
import numpy as np
from gguf_file import GgufFile

import ltx2
from ltx2.convert import convert

MOST_SECONDS, MOST_KIB = 10, 400 << 10
SMALL: ltx2.Options = {"width": 32, "height": 32, "frames": 1, "steps": 1, "seed": 1}


class Safetensors:
    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        self.header, self.data = json.loads(data[8:end]), data[end:]

    def changed(self, dice: random.Random) -> bytes:
        header = self.header
        metadata = header.get("__metadata__", {})
        if "config" in metadata and dice.random() < 0.5:
            config = mutations.json_value(json.loads(metadata["config"]), dice)
            header = {**header, "__metadata__": {**metadata, "config": json.dumps(config)}}
        else:
            header = mutations.json_value(header, dice)
        return mutations.safetensors(header, self.data, dice)


class Files:
    """Good ones, of the tests' own builders, and how each kind is changed."""

    def __init__(self, folder: Path) -> None:
        make_tiny.generate("base", folder / "good")
        self.good = folder / "good"
        self.video = Safetensors(self.good / "ltx-tiny-base.safetensors")
        self.gemma = Safetensors(next((self.good / "gemma").glob("*.safetensors")))
        self.json = {
            name: json.loads((self.good / "gemma" / name).read_text())
            for name in ("config.json", "tokenizer.json")
        }
        convert(self.good / "ltx-tiny-base.safetensors", folder / "video.gguf", "f16")
        convert(self.good / "gemma", folder / "gemma.gguf", "f16")
        self.gguf = {name: GgufFile(folder / name) for name in ("video.gguf", "gemma.gguf")}
        shutil.copytree(self.good, folder / "work")
        self.work = folder / "work"

    def change(self, dice: random.Random) -> tuple[str, Path, Path]:
        """One file of the two that make a model: what, and the paths of both."""
        video, gemma = self.work / "ltx-tiny-base.safetensors", self.work / "gemma"
        what = dice.choice(["video", "video", "video.gguf", "gemma.gguf", "gemma", *self.json])
        shutil.rmtree(self.work)
        shutil.copytree(self.good, self.work, copy_function=os.link)
        if what in self.gguf:
            path = self.work / what
            path.write_bytes(mutations.gguf(self.gguf[what], dice))
            return what, *((path, gemma) if what == "video.gguf" else (video, path))
        if what in self.json:
            path = gemma / what
            data = mutations.json_bytes(mutations.json_value(self.json[what], dice), dice)
        else:
            path = video if what == "video" else next(gemma.glob("*.safetensors"))
            data = (self.video if what == "video" else self.gemma).changed(dice)
        path.unlink()  # a link to the good one
        path.write_bytes(data)
        return what, video, gemma


def generate(video: Path, gemma: Path, dice: random.Random, out: Path) -> None:
    with ltx2.Session([video, gemma], threads=1) as session:
        options = SMALL if dice.random() < 0.9 else ltx2.Options(seed=1)
        if dice.random() < 0.7:
            session.t2v("a red circle moves right", **options)
        else:
            session.i2v("a red circle", np.zeros((40, 50, 3), np.uint8), **options)


def convert_one(video: Path, gemma: Path, dice: random.Random, out: Path) -> None:
    source = dice.choice([video, gemma])
    convert(source, out / "new.gguf", dice.choice(["f32", "f16", "q8_0", "q4_0"]))


def outcome(call: Any, files: tuple[Path, Path], dice: random.Random, out: Path) -> str:
    """In the child: one word, and more where it is a finding."""
    try:
        call(*files, dice, out)
        result = "done"
    except (ltx2.Error, OSError) as error:
        words = str(error)
        result = type(error).__name__
        if isinstance(error, ltx2.InternalError) or not words.isprintable():
            result = f"finding: {result}: {words!r}"
    except BaseException as error:
        result = f"finding: {type(error).__name__}: {error!r}"
    left = [path.name for path in out.iterdir() if path.name != "new.gguf"]
    return f"finding: left {left}" if left else result


def run(call: Any, files: tuple[Path, Path], seed: int, out: Path) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        signal.alarm(20 * MOST_SECONDS)
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS + 1, MOST_SECONDS + 2))
        with contextlib.suppress(BaseException):
            said = outcome(call, files, random.Random(seed), out)
            os.write(write, said.encode("utf-8", "replace")[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode("utf-8", "replace")
    _, status, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    if os.WIFSIGNALED(status):
        return f"finding: signal {os.WTERMSIG(status)} after {seconds:.1f} s"
    if seconds > MOST_SECONDS or usage.ru_maxrss > MOST_KIB:
        return f"finding: {seconds:.1f} s, {usage.ru_maxrss >> 10} MiB; {said}"
    return said or "finding: no answer"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("call", choices=("generate", "convert"))
    parser.add_argument("--runs", type=int, default=2**62)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="their files go here")
    args = parser.parse_args()
    call = generate if args.call == "generate" else convert_one
    dice, counts, findings = random.Random(args.seed), collections.Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        files = Files(Path(name))
        start = time.monotonic()
        while counts.total() < args.runs and time.monotonic() - start < args.seconds:
            what, *paths = files.change(dice)
            out = Path(tempfile.mkdtemp(dir=name))
            said = run(call, (paths[0], paths[1]), dice.getrandbits(32), out)
            shutil.rmtree(out)
            counts[f"{what} {said.split(':')[0]}"] += 1
            if said.startswith("finding"):
                findings += 1
                shutil.copytree(files.work, args.keep / str(findings), dirs_exist_ok=True)
                print(f"{what}: {said}", flush=True)
    print(f"{args.call}: {counts.total()} runs, {findings} findings")
    for key, count in sorted(counts.items()):
        print(f"  {count:6} {key}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
