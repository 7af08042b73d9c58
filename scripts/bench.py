#!/usr/bin/env python3
"""Time parts of LTX-2.3 at full width, ltx2 and PyTorch turn by turn in one run.

    scripts/bench.py --quick --torch-python ref/bin/python

One DiT block pair, the video VAE's decoder and encoder, and a Gemma layer, with random weights at
F16, Q8_0 and Q4_0, against the official modules in the fastest dtype of this machine. Each round
runs every competitor once, so that a noisy minute hits all alike; the table gives medians, the
ratio torch / ltx2 (above 1: ltx2 is faster) and the share of the FMA rate of the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bench_models

HERE = Path(__file__).parent
# part: (size for --quick, full size); tokens, latent rows = columns, or text tokens
SIZES = {
    "dit": (512, 1024),
    "decode": (4, 8),
    "encode": (8, 16),
    "gemma": (128, 256),
    "attention": (1000, 2500),
}
TYPES = {
    "dit": ("F16", "Q8_0", "Q4_0"),
    "decode": ("F16",),
    "encode": ("F16",),
    "gemma": ("F16", "Q8_0", "Q4_0"),
    "attention": ("F32", "BF16"),
}


@dataclass(frozen=True)
class Row:
    """One line of the result: seconds are medians over the rounds."""

    part: str
    type: str
    size: int
    ours_s: float
    torch_s: float | None
    torch_dtype: str | None
    ratio: float | None
    share_of_peak: float
    peak_mib: float


class Worker:
    """A competitor that waits: each line sent runs it once and brings its seconds."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.name = " ".join(command[-4:])
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.times: list[float] = []

    def line(self, text: str) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer:
            raise SystemExit(f"bench: {self.name} stopped")
        return answer

    def run(self, warm: bool = False) -> None:
        seconds = float(self.line("run"))
        if not warm:
            self.times.append(seconds)

    def end(self) -> float:
        """Close and give the worker's own last line, its peak memory in MiB."""
        rest, _ = self.process.communicate()
        return float(rest.strip() or 0)

    @property
    def median(self) -> float:
        return statistics.median(self.times)


def torch_worker(python: str, part: str, size: int, dtype: str, threads: int) -> Worker:
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    script = str(HERE / "bench_torch.py")
    return Worker([python, script, part, str(size), dtype, str(threads)], env)


def fastest_dtype(python: str, part: str, size: int, threads: int) -> str:
    """The dtype in which PyTorch is fastest here, tried once each on a small size."""
    seconds = {}
    for dtype in ("float32", "bfloat16"):
        if dtype == "bfloat16" and part in ("decode", "encode"):
            continue  # conv3d in bfloat16 runs a naive loop on CPUs, a hundred times slower
        worker = torch_worker(python, part, size, dtype, threads)
        worker.run(warm=True)
        worker.run()
        seconds[dtype] = worker.median
        worker.end()
    return min(seconds, key=lambda name: seconds[name])


def bench_part(part: str, args: argparse.Namespace, folder: Path) -> list[Row]:
    size = SIZES[part][0 if args.quick else 1]
    program = str(args.build / "tests" / "ltx2_bench")
    ours = {}
    for kind in TYPES[part]:
        model = bench_models.make(part, kind, folder)
        ours[kind] = Worker([program, part, str(model), str(args.threads), str(size)])
    fma = Worker([program, "fma", str(args.threads)])
    dtype, torch = None, None
    if args.torch_python:
        small = max(1, size // 4)
        dtype = fastest_dtype(args.torch_python, part, small, args.threads)
        torch = torch_worker(args.torch_python, part, size, dtype, args.threads)
    everyone = [*ours.values(), *([torch] if torch else []), fma]
    for worker in everyone:
        worker.run(warm=True)
    for _ in range(args.rounds):
        for worker in everyone:
            worker.run()
    flops = bench_models.flops(part, size)
    rows = []
    for kind, worker in ours.items():
        peak = worker.end()
        theirs = torch.median if torch else None
        rows.append(
            Row(
                part,
                kind,
                size,
                worker.median,
                theirs,
                dtype,
                theirs / worker.median if theirs else None,
                flops / worker.median / (fma.median * 1e9),
                peak,
            )
        )
    if torch:
        torch.end()
    fma.process.kill()
    return rows


def table(rows: list[Row]) -> str:
    lines = [
        "| part | type | size | ltx2 s | PyTorch s | dtype | ratio | share of FMA peak | peak MiB |",  # noqa: E501
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        torch = f"{r.torch_s:.3f} | {r.torch_dtype} | {r.ratio:.2f}" if r.torch_s else "– | – | –"
        lines.append(
            f"| {r.part} | {r.type} | {r.size} | {r.ours_s:.3f} | {torch} "
            f"| {r.share_of_peak:.2f} | {r.peak_mib:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, under ten minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--part", action="append", choices=list(SIZES), help="only this part")
    parser.add_argument("--torch-python", help="a Python that has torch, ltx-core, transformers")
    parser.add_argument(
        "--build", type=Path, default=HERE.parent / "build", help="a build with LTX2_TESTS=ON"
    )
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="ltx2-bench-") as folder:
        for part in args.part or SIZES:
            done = bench_part(part, args, Path(folder))
            rows += done
            if args.json:
                for row in done:
                    print(json.dumps(asdict(row)), flush=True)
    if not args.json:
        print(table(rows))


if __name__ == "__main__":
    main()
