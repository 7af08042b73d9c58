#!/usr/bin/env python3
"""Time LTX-2.3 at full width on GPUs, ltx2 and PyTorch in bfloat16 alternating in one run.

    scripts/bench_gpu.py --on Vulkan0=build/with-vulkan --on CUDA0=build/with-cuda \\
        --torch-python ref/bin/python --save gpu.jsonl

Each --on is a device by its name and a build with LTX2_TESTS=ON that has it, installed in its
prefix/. The parts are four DiT blocks, the decoder on a clip of 512 x 768, a Gemma layer, and the
whole of a two-second clip, all 48 blocks and Gemma 12B in Q4_0, with random weights that are made
first (18 GB; they stay where --scratch says). Rows are written as they come, so that a run that is
cut short has what it measured; a part that fails is a row that says why. `tflops` counts a
multiply-add as two, and `share` is that of what PyTorch's product of two matrices of 8192 x 8192
reaches in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bench
import bench_models

HERE = Path(__file__).parent
MATRICES = ("F16", "Q8_0", "Q4_0")
# part, size, weight types, the important ones first. Sizes are tokens, of `clip` latent frames
# (4: 25 frames, 7: 49), of `whole` frames.
PLAN = (
    ("blocks", 2560, MATRICES),
    ("clip", 4, ("F16",)),
    ("whole", 49, ("Q4_0",)),
    ("blocks", 1024, MATRICES),
    ("blocks", 6144, MATRICES),
    ("gemma", 256, MATRICES),
    ("joint", 2560, MATRICES),
    ("clip", 7, ("F16",)),
)
SQUARE, WHOLE_TOKENS, WHOLE_STEPS = 8192, 7 * 16 * 24, 8
Row = dict[str, Any]


class Output:
    """Rows, to a file and to the terminal as they come."""

    def __init__(self, path: Path | None) -> None:
        self.file = path.open("w", encoding="utf-8") if path else None

    def write(self, **row: Any) -> None:
        line = json.dumps(row)
        print(line, flush=True)
        if self.file:
            self.file.write(line + "\n")
            self.file.flush()


def _memory_used() -> float:
    """MiB in use on the first GPU, by all programs; nan where NVIDIA's tool does not say."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-i", "0"]
    try:
        return float(subprocess.check_output(query, text=True))
    except (OSError, ValueError, subprocess.CalledProcessError):
        return float("nan")


class Watch:
    """The highest use of the GPU's memory from here on, without what was in use before."""

    def __init__(self) -> None:
        self.before = self.highest = _memory_used()
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.ends.wait(0.02):
            self.highest = max(self.highest, _memory_used())

    def end(self) -> float | None:
        self.ends.set()
        self.thread.join()
        mib = self.highest - self.before
        return mib if mib == mib else None  # not nan


class Bench:
    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.begin = time.monotonic()
        self.devices = dict(text.split("=", 1) for text in args.on)
        self.output = Output(args.save)
        self.peak: float | None = None  # operations a second
        self.torch_seconds: dict[tuple[str, int], float] = {}  # medians, of what was measured

    def left(self) -> float:
        return float(self.args.budget - (time.monotonic() - self.begin))

    @contextlib.contextmanager
    def ended(self, workers: list[bench.Worker]) -> Iterator[None]:
        """Whatever happens, none is left; nor does one run past the budget."""

        def kill() -> None:
            for worker in workers:
                worker.process.kill()

        timer = threading.Timer(max(self.left(), 1), kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            kill()
            for worker in workers:
                worker.process.wait()

    def ours(self, part: str, kind: str, size: int, device: str) -> bench.Worker:
        program = str(Path(self.devices[device]) / "tests" / "ltx2_bench")
        model = str(bench_models.make(part, kind, self.folder))
        return bench.Worker([program, part, model, str(self.args.threads), str(size), device])

    def torch(self, part: str, size: int) -> bench.Worker:
        threads, device = str(self.args.threads), self.args.torch_device
        script = [self.args.torch_python, str(HERE / "bench_torch.py")]
        return bench.Worker([*script, part, str(size), "bfloat16", threads, device])

    def measure_torch(self, part: str, size: int) -> float | None:
        """PyTorch alone, where no row has needed it."""
        if not self.args.torch_python:
            return None
        if (part, size) not in self.torch_seconds:
            worker = self.torch(part, size)
            with self.ended([worker]):
                self.rounds({"torch": worker})
            self.torch_seconds[part, size] = worker.medians()[0]
        return self.torch_seconds[part, size]

    def rounds(self, workers: dict[Any, bench.Worker]) -> dict[Any, str]:
        """Alternating. What stopped on the way, and its last words."""
        stopped: dict[Any, str] = {}
        for i in range(2 + self.args.rounds):
            for name, worker in workers.items():
                if name not in stopped:
                    try:
                        worker.run(warm=i < 2)
                    except (SystemExit, OSError) as error:
                        stopped[name] = str(error)
        return stopped

    def measure(self, part: str, size: int, kinds: tuple[str, ...]) -> None:
        """The rows of a part: every device and type of weights, with PyTorch in between."""
        workers: dict[Any, bench.Worker] = {
            (device, kind): self.ours(part, kind, size, device)
            for kind in kinds
            for device in self.devices
        }
        if self.args.torch_python:
            workers["torch"] = self.torch(part, size)
        with self.ended(list(workers.values())):
            stopped = self.rounds(workers)
        torch_s = None
        if "torch" in workers and workers["torch"].times:
            torch_s = self.torch_seconds[part, size] = workers["torch"].medians()[0]
        for name, worker in workers.items():
            if name == "torch":
                continue
            row: Row = {"part": part, "size": size, "device": name[0], "type": name[1]}
            if worker.times:
                row |= self.figures(worker.medians()[0], torch_s, bench_models.flops(part, size))
            self.output.write(**row, error=stopped.get(name), torch_error=stopped.get("torch"))

    def figures(self, ours_s: float, torch_s: float | None, flops: float) -> Row:
        ratio = torch_s / ours_s if torch_s else None
        share = flops / ours_s / self.peak if self.peak else None
        return {
            "ours_s": ours_s, "torch_s": torch_s, "ratio": ratio,
            "tflops": flops / ours_s / 1e12, "share": share,
        }  # fmt: skip

    def whole(self, frames: int) -> None:
        """A clip from the prompt on: stages in seconds, memory, PyTorch's blocks 48 times."""
        begin = time.monotonic()
        os.environ.setdefault(
            "LTX2_LIBRARY", str(Path(next(iter(self.devices.values()))) / "prefix")
        )
        import rehearsal_weights  # it wants the library

        models = rehearsal_weights.make(self.folder / "whole", "q4_0")
        made = time.monotonic() - begin
        block = decode = None
        with contextlib.suppress(SystemExit):
            block = self.measure_torch("blocks", WHOLE_TOKENS)
            decode = self.measure_torch("clip", (frames - 1) // 8 + 1)
        for device, build in self.devices.items():
            watch = Watch()
            inner = [sys.executable, __file__, "--child", str(models), device, str(frames)]
            env = os.environ | {"LTX2_LIBRARY": str(Path(build) / "prefix")}
            env["PYTHONPATH"] = f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"
            try:
                done = subprocess.run(
                    inner, env=env, capture_output=True, text=True, timeout=max(self.left(), 1)
                )
                seconds, words = done.stdout, done.stderr.strip()[-300:]
            except subprocess.TimeoutExpired as error:
                seconds, words = "", str(error)[-300:]
            row: Row = {"part": "whole", "size": frames, "device": device, "type": "Q4_0"}
            row |= {"mib": watch.end(), "weights_made_s": made}
            runs = [json.loads(line) for line in seconds.splitlines()]
            if runs:
                step = runs[-1]["denoise"] / WHOLE_STEPS
                full = bench_models.FULL["denoise"]
                flops = full / bench_models.BLOCKS * bench_models.flops("blocks", WHOLE_TOKENS)
                torch_s = block * full / bench_models.BLOCKS if block else None
                row |= {"first": runs[0], "again": runs[-1], "torch_decode_s": decode}
                row |= self.figures(step, torch_s, flops)  # of a step
            self.output.write(**row, error=words or None)

    def run(self) -> None:
        with contextlib.suppress(SystemExit):
            if square := self.measure_torch("square", SQUARE):
                self.peak = 2.0 * SQUARE**3 / square
                self.output.write(part="square", size=SQUARE, tflops=self.peak / 1e12)
        for part, size, kinds in PLAN:
            if self.args.part and part not in self.args.part:
                continue
            if self.left() < 5:
                self.output.write(part=part, size=size, error="no time was left for it")
                continue
            begin = time.monotonic()
            try:
                if part == "whole":
                    self.whole(size)
                else:
                    self.measure(part, size, kinds)
            except Exception as error:  # the others are worth having
                self.output.write(part=part, size=size, error=f"{type(error).__name__}: {error}")
            print(f"{part} {size}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


class Laps:
    """Seconds of each stage of a call."""

    def __init__(self) -> None:
        self.spans: dict[str, float] = {}
        self.name, self.begin = "begin", time.monotonic()

    def _next(self, name: str) -> None:
        now = time.monotonic()
        self.spans[self.name] = self.spans.get(self.name, 0.0) + now - self.begin
        self.name, self.begin = name, now

    def stage(self, progress: Any) -> None:
        self._next(progress.stage)

    def end(self) -> dict[str, float]:
        self._next("")
        return self.spans | {"all": sum(self.spans.values())}


def child(models: Path, device: str, frames: int) -> None:
    """The measured process: the seconds of each stage of a clip, twice, as JSON lines."""
    import ltx2

    with ltx2.Session(models, device=device) as session:
        for _ in range(2):
            laps = Laps()
            session.t2v(
                "a red circle moves right on a blue background " * 8, progress=laps.stage,
                seed=1, width=512, height=768, frames=frames, steps=WHOLE_STEPS,
                schedule="distilled", guidance=1, stg=0, rescale=0,
            )  # fmt: skip
            print(json.dumps(laps.end()), flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--on", action="append", required=True, metavar="DEVICE=BUILD")
    parser.add_argument("--torch-python", help="a Python that has torch, ltx-core, transformers")
    parser.add_argument("--torch-device", default="cuda")
    parser.add_argument("--part", action="append", choices=sorted({p for p, *_ in PLAN}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--budget", type=float, default=3600, help="seconds for everything")
    parser.add_argument("--scratch", type=Path, help="a folder for weights, which stay there")
    parser.add_argument("--save", type=Path, help="a file for the rows, one JSON object a line")
    args = parser.parse_args()
    for text in args.on:
        program = Path(text.split("=", 1)[-1]) / "tests" / "ltx2_bench"
        if "=" not in text or not shutil.which(program):
            parser.error(f"--on {text}: {program} cannot be run")
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="ltx2-bench-")
        folder = args.scratch or Path(stack.enter_context(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        Bench(args, folder).run()


if __name__ == "__main__":
    main()
