"""OpenVINO's side of scripts/bench.py: `bench_openvino.py PART SIZE FORM THREADS FOLDER`.

The official modules, traced and compiled for the processor in a form: f32, bf16, "weights int4", or
int8, all products. What tracing and quantising gave stays in FOLDER: it takes minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nncf
import openvino
import torch

sys.path.insert(0, str(Path(__file__).parent))
import bench_models as models
import bench_modules as modules


def _quantised(model: openvino.Model, form: str, inputs: list[Any]) -> openvino.Model:
    if form == "weights int4":  # as Q4_0: one scale for 32 weights, all matrices
        mode = nncf.CompressWeightsMode.INT4_SYM
        return nncf.compress_weights(model, mode=mode, group_size=32, ratio=1.0, all_layers=True)
    data, kind = nncf.Dataset([inputs]), nncf.ModelType.TRANSFORMER
    return nncf.quantize(model, data, subset_size=1, model_type=kind, fast_bias_correction=True)


def _save(model: openvino.Model, path: Path) -> None:
    """Whole, or not at all."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(model, Path(folder) / path.name, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            (Path(folder) / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))


def traced(part: str, size: int, form: str, folder: Path) -> openvino.Model:
    """The part's module in this form, found in the folder or put there."""
    plain = folder / f"{part}-{size}.xml"
    is_plain = form in ("f32", "bf16")
    path = plain if is_plain else folder / f"{part}-{size}-{form.replace(' ', '-')}.xml"
    if not path.exists():
        inputs = modules.inputs_of(part, size)
        if not plain.exists():
            module = modules.module_of(part, size)
            if isinstance(module, modules.Gemma):
                module.masked = True
            with torch.no_grad():
                model = openvino.convert_model(module, example_input=inputs)
            _save(model, plain)
        if not is_plain:
            arrays = [value.numpy() for value in inputs]
            model = _quantised(openvino.Core().read_model(plain), form, arrays)
            _save(model, path)
    return openvino.Core().read_model(path)


def _one(part: str, size: int, form: str, threads: int, folder: Path) -> Callable[[], torch.Tensor]:
    hints = {
        "INFERENCE_PRECISION_HINT": "f32" if form == "f32" else "bf16",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(traced(part, size, form, folder), "CPU", hints)
    request = compiled.create_infer_request()
    inputs = [value.numpy() for value in modules.inputs_of(part, size)]

    def run() -> torch.Tensor:
        return torch.from_numpy(next(iter(request.infer(inputs).values())))

    return run


def _video(steps: int, form: str, threads: int, folder: Path) -> modules.Run:
    """The stages of a video: a layer as often as the others' layers are, in bfloat16 where a
    form is not of convolutions."""
    decoder_form = form if form in ("f32", "int8") else "bf16"
    stages = [
        (_one("gemma", models.PROMPT, form, threads, folder), models.VIDEO["gemma"]),
        (_one("connector", models.PROMPT, form, threads, folder), 1),
        (_one("dit", models.VIDEO_TOKENS, form, threads, folder), steps * models.VIDEO["denoise"]),
        (_one("decode", models.CELLS, decoder_form, threads, folder), 1),
    ]

    def run() -> modules.Laps:
        times = [time.perf_counter()]
        for stage, count in stages:
            for _ in range(count):
                stage()
            times.append(time.perf_counter())
        return [end - begin for begin, end in pairwise(times)]

    return run


def run_of(part: str, size: int, form: str, threads: int, folder: Path) -> modules.Run:
    folder.mkdir(parents=True, exist_ok=True)
    if part == "video":
        return _video(size, form, threads, folder)
    return _one(part, size, form, threads, folder)


def main() -> None:
    part, size, form, threads, folder = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where nncf says how far it is
    modules.answer(run_of(part, int(size), form, int(threads), Path(folder)), out=answers)


if __name__ == "__main__":
    main()
