#!/usr/bin/env python3
"""Time LTX-2.3 at full width on GPUs, ltx2 and PyTorch in bfloat16 alternating in one run.

    scripts/bench_gpu.py --on Vulkan0=build/with-vulkan --on CUDA0=build/with-cuda \\
        --torch-python ref/bin/python --save gpu.jsonl

Each --on is a device by its name and a build with LTX2_TESTS=ON that has it, installed in its
prefix/. The parts are four DiT blocks, the decoder on a clip of 512 x 768, a Gemma layer, and the
whole of a two-second clip, all 48 blocks and Gemma 12B in Q4_0, with random weights that are made
first (18 GB; they stay where --scratch says). Rows are written as they come, so that a run that is
cut short has what it measured; a part that fails is a row that says why. `tflops` counts a
multiply-add as two, and `share_of_peak` is that of what PyTorch's product of two matrices of
8192 x 8192 reaches in the same run. scripts/bench_table.py reads the rows that have figures, after
a record that says where they were measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bench
import bench_models

HERE = Path(__file__).parent
MATRICES = ("F16", "Q8_0", "Q4_0")
DTYPE = "bfloat16"  # PyTorch's
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
START_S, RUN_S = 60.0, 20.0  # how long a start, with a first run, and a run may take
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


class Contender(bench.Worker):
    """One whose last words are kept, and that is given up when it answers too late."""

    def __init__(self, command: list[str]) -> None:
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115 - until close()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, text=True
        )
        self.times: list[list[float]] = []
        self.error: str | None = None

    def ask(self) -> bool:
        """Whether it goes on: it has not failed so far."""
        assert self.process.stdin
        if not self.error:
            with contextlib.suppress(OSError):  # its words say why
                self.process.stdin.write("run\n")
                self.process.stdin.flush()
        return not self.error

    def answer(self, limit: float, warm: bool) -> None:
        assert self.process.stdout
        timer = threading.Timer(max(limit, 0.1), self.process.kill)
        timer.start()
        line = self.process.stdout.readline().split()
        timer.cancel()
        if not line:
            status = self.process.wait()
            self.words.seek(0)
            late = f"no answer in {limit:.0f} s" if status == -signal.SIGKILL else f"exit {status}"
            self.error = f"{late}: {self.words.read().strip()[-300:]}"
        elif not warm:
            self.times.append([float(number) for number in line])

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.words.close()


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

    def ours(self, part: str, kind: str, size: int, device: str) -> Contender:
        program = str(Path(self.devices[device]) / "tests" / "ltx2_bench")
        model = str(bench_models.make(part, kind, self.folder))
        return Contender([program, part, model, str(self.args.threads), str(size), device])

    def torch(self, part: str, size: int) -> Contender:
        threads, device = str(self.args.threads), self.args.torch_device
        script = [self.args.torch_python, str(HERE / "bench_torch.py")]
        return Contender([*script, part, str(size), DTYPE, threads, device])

    def measure_torch(self, *parts: tuple[str, int]) -> list[float | None]:
        """The seconds of PyTorch's parts, of those that no row has needed by itself."""
        missing = [part for part in parts if part not in self.torch_seconds]
        if self.args.torch_python:
            workers = [self.torch(*part) for part in missing]
            self.rounds(workers)
            for part, worker in zip(missing, workers, strict=True):
                if worker.times:
                    self.torch_seconds[part] = worker.medians()[0]
        return [self.torch_seconds.get(part) for part in parts]

    def rounds(self, workers: list[Contender]) -> None:
        """All start and warm up at once, then they alternate. None is left afterwards."""
        try:
            for worker in workers:
                worker.ask()
            deadline = time.monotonic() + min(START_S, self.left())
            for worker in workers:
                worker.answer(deadline - time.monotonic(), warm=True)
            for i in range(1 + self.args.rounds):
                for worker in workers:
                    if worker.ask():
                        worker.answer(min(RUN_S, self.left()), warm=i < 1)
        finally:
            for worker in workers:
                worker.close()

    def measure(self, part: str, size: int, kinds: tuple[str, ...]) -> None:
        """The rows of a part: every device and type of weights, with PyTorch in between."""
        pairs = [(device, kind) for kind in kinds for device in self.devices]
        ours = [self.ours(part, kind, size, device) for device, kind in pairs]
        torch = [self.torch(part, size)] if self.args.torch_python else []
        self.rounds(ours + torch)
        if torch and torch[0].times:
            self.torch_seconds[part, size] = torch[0].medians()[0]
        for (device, kind), worker in zip(pairs, ours, strict=True):
            row: Row = {"part": part, "size": size, "device": device, "type": kind}
            if worker.times:
                flops, torch_s = (
                    bench_models.flops(part, size),
                    self.torch_seconds.get((part, size)),
                )
                row |= self.figures(worker.medians()[0], torch_s, flops)
            self.output.write(**row, error=worker.error)
        if torch and torch[0].error:
            self.output.write(part=part, size=size, device="torch", error=torch[0].error)

    def figures(self, ours_s: float, torch_s: float | None, flops: float) -> Row:
        ratio = torch_s / ours_s if torch_s else None
        share = flops / ours_s / self.peak if self.peak else None
        return {
            "ours_s": ours_s, "torch_s": torch_s, "ratio": ratio,
            "tflops": flops / ours_s / 1e12, "share_of_peak": share,
            "torch_dtype": DTYPE, "peak": "bf16",
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
        clip = ("clip", (frames - 1) // 8 + 1)
        block, decode = self.measure_torch(("blocks", WHOLE_TOKENS), clip)
        for i, (device, build) in enumerate(self.devices.items()):
            limit = max(self.left() / (len(self.devices) - i), 1)
            watch = Watch()
            inner = [sys.executable, __file__, "--child", str(models), device, str(frames)]
            env = os.environ | {"LTX2_LIBRARY": str(Path(build) / "prefix")}
            env["PYTHONPATH"] = f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"
            try:
                done = subprocess.run(inner, env=env, capture_output=True, timeout=limit)
                seconds, words = done.stdout, done.stderr.decode().strip()[-300:]
            except subprocess.TimeoutExpired as error:
                seconds, words = error.stdout or b"", f"no more in {limit:.0f} s"
            row: Row = {"part": "whole", "size": frames, "device": device, "type": "Q4_0"}
            row |= {"peak_mib": watch.end(), "weights_made_s": made}
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
        (square,) = self.measure_torch(("square", SQUARE))
        if square:
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
