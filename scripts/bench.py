#!/usr/bin/env python3
"""Time LTX-2.3 at full width, ltx2 and PyTorch alternating in one run.

    scripts/bench.py --quick --torch-python ref/bin/python --openvino-python ov/bin/python \
        --save docs/bench.jsonl

A DiT block of the video alone and of video and sound, its attention alone, the video VAE's decoder
and encoder, the audio VAE's decoder with the vocoder, the spatial upsampler, a Gemma layer, and a
whole video from text to frames, with random weights at F16, Q8_0 and Q4_0; of LTX-2.0 and
LTX-2.5 a block, two layers of Gemma 4 and the video decoder by diffusion: against the official
modules in the fastest dtype of this machine, in the form of OpenVINO that is next to the weights'
type, and against ltx2 on plain ggml operations. Each round runs every competitor once, so that a
noisy minute hits all alike; the table gives medians, the ratio torch / ltx2 (above 1: ltx2 is
faster), OpenVINO / ltx2, plain ggml / ltx2, each side's error where results are compared, and the
share of what this machine's multipliers did in the same rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
import bench_models
import bench_sound
import bench_table
import numpy as np

HERE = Path(__file__).parent
MATRICES = ("F16", "Q8_0", "Q4_0")
# part: (sizes for --quick, all sizes), weight types.
# Sizes are tokens (of the video), latent rows = columns, audio latents (of five seconds), text
# tokens, those before one that is written, and denoising steps of a video's eight.
PARTS = {
    "dit": (((1024, 2560), (256, 1024, 2560, 6144)), MATRICES),
    "dit20": (((1024,), (1024, 2560)), MATRICES),
    "dit25": (((1024,), (1024, 2560)), MATRICES),
    "joint": (((1024, 2560), (256, 1024, 2560, 6144)), MATRICES),
    "decode": (((8,), (8, 16)), ("F16",)),
    "windows": (((8,), (8, 16)), ("F16",)),
    "encode": (((8,), (8, 16)), ("F16",)),
    "sound": (((bench_sound.LATENTS,), (bench_sound.LATENTS,)), ("F16",)),
    "upsample": (((8,), (8, 16)), ("F16",)),
    "gemma": (((256,), (64, 256, 1024)), MATRICES),
    "gemma4": (((256,), (64, 256, 1024)), MATRICES),
    "writing": (((1024,), (1024,)), MATRICES),
    "attention": (((1024, 2560, 6144), (1024, 2560, 6144)), ("F32", "BF16")),
    "attention64": (((1024,), (1024, 2560, 6144)), ("F32", "BF16")),
    "video": (((2,), (8,)), MATRICES),
}
# What OpenVINO computes in, by part or by ltx2's type of weights.
FORMS = {
    "F32": "f32", "F16": "bf16", "BF16": "bf16", "Q8_0": "int8", "Q4_0": "weights int4",
    "int8_convrot": "int8", "decode": "int8",
}  # fmt: skip
CONVOLUTIONS = ("decode", "encode", "sound", "upsample")
PEAKS = ("f32", "bf16", "int8", "memory")


@dataclass(frozen=True)
class Row:
    """One line of the result: seconds are medians over the rounds.

    Of a video, and of a token that is written: seconds of the whole depth, `scale` times those
    measured; size is the tokens there are.
    """

    part: str
    type: str
    size: int
    ours_s: float
    torch_s: float | None
    torch_dtype: str | None
    ratio: float | None
    openvino_s: float | None
    openvino_form: str | None
    openvino_ratio: float | None
    plain_s: float | None
    plain_ratio: float | None
    peak: str  # which multipliers, f32, bf16 or int8; or memory
    share_of_peak: float
    peak_mib: float
    torch_mib: float | None
    openvino_mib: float | None
    plain_mib: float | None
    error: float | None = None
    torch_error: float | None = None
    openvino_error: float | None = None
    scale: float = 1.0


class Rest(NamedTuple):
    """What is known of a worker at its end."""

    mib: float | None
    error: float | None


def prefer(process: int) -> None:
    """Before what else runs here, if that is allowed. Linux weighs sessions, and only within one
    the niceness of processes."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text("-9")


class Worker:
    """A competitor that waits: each line sent runs it once and brings its seconds."""

    def __init__(self, command: list[str], **environment: str) -> None:
        self.name = " ".join(command[-4:])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        prefer(self.process.pid)
        self.times: list[list[float]] = []

    def send(self, line: str) -> list[float]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise SystemExit(f"bench: {self.name} stopped")
        return [float(number) for number in answer]

    def run(self, warm: bool = False) -> None:
        seconds = self.send("run")
        if not warm:
            self.times.append(seconds)

    def made(self, folder: Path) -> np.ndarray:
        """What the last run made."""
        path = folder / "made"
        self.send(f"save {path}")
        return np.fromfile(path, np.float32)

    def end(self) -> float:
        """Close and give the worker's own last line, its peak memory in MiB."""
        rest, _ = self.process.communicate()
        return float(rest.strip() or 0)

    def rest(self, folder: Path, reference: np.ndarray | None) -> Rest:
        """Close; its error where there is a result to hold against."""
        error = None
        if reference is not None:
            values = self.made(folder).astype(np.float64)
            error = float(np.linalg.norm(values - reference) / np.linalg.norm(reference))
        return Rest(self.end(), error)

    def medians(self) -> list[float]:
        """Of the whole run, then of each of its stages."""
        return [statistics.median(column) for column in zip(*self.times, strict=True)]


@dataclass(frozen=True)
class Sides:
    """All that ran for one type of weights."""

    ours: Worker
    torch: Worker | None
    dtype: str | None
    openvino: Worker | None
    form: str | None
    plain: Worker | None
    rest: dict[Worker, Rest]

    def fields(self) -> dict[str, Any]:
        """Memory and errors, as a row has them."""
        none = Rest(None, None)
        sides = {"torch_": self.torch, "openvino_": self.openvino, "plain_": self.plain}
        found = {name: self.rest[w] if w else none for name, w in sides.items()}
        return {
            "peak_mib": self.rest[self.ours].mib,
            "error": self.rest[self.ours].error,
            **{name + "mib": rest.mib for name, rest in found.items()},
            **{f"{name}error": found[name].error for name in ("torch_", "openvino_")},
        }


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.program = str(args.build / "tests" / "ltx2_bench")
        self.dtype: str | None = None  # the fastest of PyTorch for matrices, once known

    def ours(self, folder: Path, part: str, kind: str, size: int, **environment: str) -> Worker:
        model = str(bench_models.make(part, kind, folder))
        command = [self.program, part, model, str(self.args.threads), str(size)]
        return Worker(command, **environment)

    def torch(self, part: str, size: int, dtype: str) -> Worker:
        threads = str(self.args.threads)
        command = [self.args.torch_python, str(HERE / "bench_torch.py")]
        return Worker([*command, part, str(size), dtype, threads], OMP_NUM_THREADS=threads)

    def openvino(self, part: str, size: int, form: str) -> Worker:
        command = [self.args.openvino_python, str(HERE / "bench_openvino.py"), part, str(size)]
        return Worker([*command, form, str(self.args.threads), str(self.args.openvino_folder)])

    def reference(self, folder: Path, part: str, size: int) -> np.ndarray:
        """PyTorch's result in float32."""
        worker = self.torch(part, size, "float32")
        worker.run(warm=True)
        values = worker.made(folder)
        worker.end()
        return values

    def has_model_of(self, part: str) -> bool:
        """Of Gemma 4, transformers 5 does, and the official code wants transformers 4; `dit` has
        the other blocks'; nobody has the decoder by diffusion for a processor, and `writing` is
        compared with reading the weights."""
        look = "import transformers.models.gemma4_unified"
        return part not in ("dit20", "dit25", "windows", "writing") and (
            part != "gemma4"
            or not subprocess.call([self.args.torch_python, "-c", look], stderr=subprocess.DEVNULL)
        )

    def fastest_dtype(self, part: str) -> str:
        """The dtype in which PyTorch is fastest here, tried on a DiT block of 256 tokens."""
        if part in CONVOLUTIONS:
            return "float32"  # conv3d in bfloat16 runs a naive loop, a hundred times slower
        if not self.dtype:
            seconds = {}
            for dtype in ("float32", "bfloat16"):
                worker = self.torch("dit", 256, dtype)
                worker.run(warm=True)
                worker.run()
                worker.run()
                seconds[dtype] = min(times[0] for times in worker.times)
                worker.end()
            self.dtype = min(seconds, key=lambda name: seconds[name])
        return self.dtype

    def rounds(self, often: list[Worker], seldom: list[Worker]) -> None:
        """Alternating; `seldom`, the slow ones, in every third round only."""
        for worker in [*often, *seldom]:
            worker.run(warm=True)
        for i in range(self.args.rounds):
            for worker in [*often, *(seldom if i % 3 == 0 else [])]:
                worker.run()

    def measure(self, folder: Path, part: str, size: int) -> list[Row]:
        kinds = self.args.type or PARTS[part][1]
        ours = {kind: self.ours(folder, part, kind, size) for kind in kinds}
        plain: dict[str, Worker] = {}
        if not (self.args.no_plain or part.startswith(("attention", "sound", "windows"))):
            plain = {k: self.ours(folder, part, k, size, LTX2_PLAIN_OPS="1") for k in kinds}
        peaks = Worker([self.program, "peaks", str(self.args.threads)])
        dtype, torch = None, None
        if self.args.torch_python and self.has_model_of(part):
            dtype = self.fastest_dtype(part)
            torch = self.torch(part, size, dtype)
        forms: dict[str, Worker] = {}
        if self.args.openvino_python and part in (*bench_models.COMPARED, "video"):
            for wanted in sorted({form for kind in kinds if (form := form_of(part, kind))}):
                forms[wanted] = self.openvino(part, size, wanted)
                forms[wanted].run(warm=True)  # traced and quantised, one after the other
        once = [*([torch] if torch else []), *forms.values()]
        self.rounds([*ours.values(), *once, peaks], list(plain.values()))

        rates = dict(zip(PEAKS, peaks.medians(), strict=True))
        reference = (
            self.reference(folder, part, size) if torch and part in bench_models.COMPARED else None
        )
        inexact = [ours[kind] for kind in kinds if not bench_models.is_exact(kind)]
        rest = {
            worker: worker.rest(folder, None if worker in inexact else reference)
            for worker in (*ours.values(), *once, *plain.values())
        }
        make = video_rows if part == "video" else part_rows
        rows: list[Row] = []
        for kind, worker in ours.items():
            form = form_of(part, kind)
            sides = Sides(worker, torch, dtype, forms.get(form or ""), form, plain.get(kind), rest)
            rows += make(part, kind, size, sides, rates)
        peaks.process.kill()
        peaks.process.wait()
        return rows


def multipliers(part: str, kind: str, rates: dict[str, float]) -> str:
    """The multipliers that serve a part best, of those this processor has."""
    floats = kind.startswith("fp8") or kind in ("BF16", "F16", "nvfp4", "mxfp8")
    wanted = "f32" if kind == "F32" else "bf16" if floats else "int8"
    if part in CONVOLUTIONS:
        wanted = "f32"
    if wanted == "int8" and rates["bf16"] > rates["int8"]:  # tiles, for weights of all types
        wanted = "bf16"
    return wanted if rates[wanted] else "f32"


def form_of(part: str, kind: str) -> str | None:
    """What OpenVINO computes in beside ltx2's weights of this type."""
    return FORMS.get(part) or FORMS.get(kind)


def ratio(theirs: float | None, ours: float) -> float | None:
    return theirs / ours if theirs else None


def part_rows(part: str, kind: str, size: int, sides: Sides, rates: dict[str, float]) -> list[Row]:
    seconds = sides.ours.medians()[0]
    torch_s, openvino_s, plain_s = (
        worker.medians()[0] if worker else None
        for worker in (sides.torch, sides.openvino, sides.plain)
    )
    scale = 1.0
    if part == "writing":  # a token of the whole model, whose weights are read
        peak, work = "memory", bench_models.writing_bytes(kind, size)
        scale = bench_models.writing_bytes(kind, size, whole=True) / work
    else:
        peak, work = multipliers(part, kind, rates), bench_models.flops(part, size)
    return [
        Row(
            part=part,
            type=kind,
            size=size,
            ours_s=seconds * scale,
            torch_s=torch_s,
            torch_dtype=sides.dtype,
            ratio=ratio(torch_s, seconds),
            openvino_s=openvino_s,
            openvino_form=sides.form if openvino_s else None,
            openvino_ratio=ratio(openvino_s, seconds),
            plain_s=plain_s * scale if plain_s else None,
            plain_ratio=ratio(plain_s, seconds),
            peak=peak,
            share_of_peak=work / seconds / (rates[peak] * 1e9),
            scale=scale,
            **sides.fields(),
        )
    ]


def video_rows(part: str, kind: str, size: int, sides: Sides, rates: dict[str, float]) -> list[Row]:
    """The stages of a whole video, each the time measured times what was left out; their sum.

    PyTorch's text is padded, as the official pipeline does; the rows `unpadded` grant it that this
    is needless.
    """
    scale, flops = bench_models.video_scale(size), bench_models.video_flops()

    def whole(worker: Worker | None) -> dict[str, float]:
        seconds = worker.medians()[1:] if worker else []
        return {
            s: t * scale[s.split()[0]]
            for s, t in zip((*scale, "gemma padded"), seconds, strict=False)
        }

    workers = (sides.ours, sides.torch, sides.openvino, sides.plain)
    mine, theirs, openvino, stock = (whole(side) for side in workers)
    least = {  # at the peak of the multipliers
        s: flops[s] / (rates[multipliers(s, kind, rates)] * 1e9) for s in scale
    }
    rows = []
    rest = [s for s in scale if s != "gemma"]
    for name, stages, text in (
        ("gemma", ["gemma"], "gemma padded"),
        ("gemma unpadded", ["gemma"], "gemma"),
        *((s, [s], "") for s in rest),
        ("", list(scale), "gemma padded"),
        ("unpadded", list(scale), "gemma"),
    ):
        seconds = sum(mine[s] for s in stages)
        torch_s = sum(theirs[text if s == "gemma" else s] for s in stages) if theirs else None
        openvino_s = sum(openvino[s] for s in stages) if openvino else None
        plain_s = sum(stock[s] for s in stages) if stock else None
        peak = multipliers(stages[0], kind, rates)
        form = sides.form if name != "decode" or sides.form == "int8" else "bf16"
        rows.append(
            Row(
                part=f"{part} {name}".strip(),
                type=kind,
                size=bench_models.VIDEO_TOKENS,
                ours_s=seconds,
                torch_s=torch_s,
                torch_dtype="float32" if name == "decode" and torch_s else sides.dtype,
                ratio=ratio(torch_s, seconds),
                openvino_s=openvino_s,
                openvino_form=form if openvino_s else None,
                openvino_ratio=ratio(openvino_s, seconds),
                plain_s=plain_s,
                plain_ratio=ratio(plain_s, seconds),
                peak=peak,
                share_of_peak=sum(least[s] for s in stages) / seconds,
                scale=seconds / sum(mine[s] / scale[s] for s in stages),
                **sides.fields(),
            )
        )
    return rows


def conditions(args: argparse.Namespace) -> dict[str, str]:
    """The first record of a saved file: where, when and how its rows were measured."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    machine = f"{args.threads} threads of {found[1] if found else platform.processor()}"
    machine += f", {platform.system()}"
    for python, module in ((args.torch_python, "torch"), (args.openvino_python, "openvino")):
        if python:
            version = [python, "-c", f"import {module}; print({module}.__version__)"]
            machine += f", {module} {subprocess.check_output(version, text=True).strip()}"
    command = shlex.join(["scripts/bench.py", *sys.argv[1:]])
    if isa := os.environ.get("LTX2_ISA"):
        command = f"LTX2_ISA={isa} {command}"
    return {"machine": machine, "date": time.strftime("%Y-%m-%d"), "command": command}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes, a quarter of an hour")
    parser.add_argument("--json", action="store_true", help="one JSON object a row, no table")
    parser.add_argument("--save", type=Path, help="a file for the rows, as bench_table.py reads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this part")
    parser.add_argument("--size", type=int, action="append", help="only this size")
    parser.add_argument(
        "--type", action="append",
        help="weights of this type, any that GGUF has; for a DiT block a format of ComfyUI too",
    )  # fmt: skip
    parser.add_argument("--no-plain", action="store_true", help="without plain ggml operations")
    parser.add_argument("--torch-python", help="a Python that has torch, ltx-core, transformers")
    parser.add_argument("--openvino-python", help="one that has openvino and nncf besides")
    parser.add_argument(
        "--openvino-folder", type=Path, default=HERE.parent / "build" / "openvino",
        help="where traced modules are kept, 1 to 4 GB each",
    )  # fmt: skip
    parser.add_argument(
        "--build", type=Path, default=HERE.parent / "build", help="a build with LTX2_TESTS=ON"
    )
    args = parser.parse_args()
    bench = Bench(args)
    if not Path(bench.program).is_file():
        parser.error(f"{bench.program} is not there; scripts/check install makes it")
    for option in ("torch_python", "openvino_python"):
        if (python := getattr(args, option)) and not shutil.which(python):
            parser.error(f"--{option.replace('_', '-')}: {python} cannot be run")
    rows: list[Row] = []
    for part in args.part or PARTS:
        with tempfile.TemporaryDirectory(prefix="ltx2-bench-") as folder:
            for size in args.size or PARTS[part][0][0 if args.quick else 1]:
                begin = time.monotonic()
                done = bench.measure(Path(folder), part, size)
                rows += done
                lines = [json.dumps(asdict(row)) for row in done]
                if args.json:
                    print(*lines, sep="\n", flush=True)
                else:
                    seconds = time.monotonic() - begin
                    print(f"{part} {size}: done in {seconds:.0f} s", file=sys.stderr, flush=True)
    if args.save:
        records = [conditions(args), *map(asdict, rows)]
        args.save.write_text("".join(json.dumps(record) + "\n" for record in records))
    if not args.json:
        print(bench_table.table([asdict(row) for row in rows]), end="")


if __name__ == "__main__":
    main()
