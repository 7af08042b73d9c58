"""How fast `ltx2 convert` is beside `cp` of the same file, and how much memory it takes.

    python scripts/bench_convert.py WORK [--blocks 6] [--rounds 3] [--types f16 q8_0 ...]
    python scripts/bench_convert.py WORK --whole q4_0

WORK takes twice the source: 0.5 GB for each block, and 3 GB. Before each run the source is put out
of the page cache; a run ends when its file is on the disk. In each round all are run in turn, so
that what else the machine does hits them alike; of the rounds the median is printed. `--warm`
leaves the source in the cache, which shows what the processor alone allows. `--whole` converts the
whole official file once, 46 GB that are a hole.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import full_shapes
import numpy as np

COLUMNS = (
    "| | source, GB/s | of cp | seconds of processor | peak RSS, MB |\n|---|---:|---:|---:|---:|"
)


class Run(NamedTuple):
    seconds: float
    processor: float
    peak: int  # bytes


def make(path: Path, blocks: int) -> Path:
    """What makes video of the official file, with fewer blocks; normally distributed values."""
    shapes = full_shapes.video()
    full_shapes.write(path, {n: s for n, s in shapes.items() if not _is_block_from(n, blocks)})
    some = np.random.default_rng(0).standard_normal(1 << 20, np.float32) * np.float32(0.02)
    piece = (some.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    with path.open("r+b") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        left = path.stat().st_size - file.tell()
        while left:
            left -= file.write(piece[:left])
        os.fsync(file.fileno())
    return path


def _is_block_from(name: str, count: int) -> bool:
    _, found, rest = name.partition("blocks.")
    return bool(found) and "transformer" in name and int(rest.split(".")[0]) >= count


def run(line: list[str | Path], source: Path, made: Path, warm: bool) -> Run:
    with source.open("rb") as file:
        if warm:
            while file.read(1 << 24):
                pass
        else:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    os.sync()
    begin = time.monotonic()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{line[0]}: failed")
    with made.open("rb") as file:
        os.fsync(file.fileno())
    seconds = time.monotonic() - begin
    made.unlink()
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def convert(source: Path, made: Path, kind: str) -> list[str | Path]:
    options = ["--type", kind, "--variant", "distilled"]
    return [sys.executable, "-m", "ltx2", "convert", source, "-o", made, *options]


def compare(args: argparse.Namespace) -> None:
    source, made = make(args.work / "source.safetensors", args.blocks), args.work / "made.gguf"
    lines = {"cp": ["cp", source, made]}
    lines |= {kind: convert(source, made, kind) for kind in args.types}
    runs: dict[str, list[Run]] = {name: [] for name in lines}
    for _ in range(args.rounds):
        for name, line in lines.items():
            runs[name].append(run(line, source, made, args.warm))
    print(f"{source.stat().st_size / 1e9:.1f} GB\n\n{COLUMNS}")
    for name, all_of_it in runs.items():
        show(name, source, all_of_it, runs["cp"])
    source.unlink()


def show(name: str, source: Path, runs: list[Run], copies: list[Run]) -> None:
    seconds = statistics.median(r.seconds for r in runs)
    ratio = statistics.median(c.seconds / r.seconds for c, r in zip(copies, runs, strict=True))
    processor, peak = statistics.median(r.processor for r in runs), max(r.peak for r in runs)
    speed = source.stat().st_size / 1e9 / seconds
    print(f"| {name} | {speed:.2f} | {ratio:.2f} | {processor:.0f} | {peak / 1e6:.0f} |")


def whole(work: Path, kind: str) -> None:
    shapes = full_shapes.video() | full_shapes.audio()
    source = full_shapes.write(work / "whole.safetensors", shapes)
    made = work / "whole.gguf"
    once = run(convert(source, made, kind), source, made, warm=False)
    print(f"{source.stat().st_size / 1e9:.1f} GB: peak RSS {once.peak / 1e6:.0f} MB")
    source.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--blocks", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--types", nargs="+", default=["bf16", "q8_0", "q4_0", "q4_k"])
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--whole", metavar="TYPE")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.whole:
        whole(args.work, args.whole)
    else:
        compare(args)


if __name__ == "__main__":
    main()
