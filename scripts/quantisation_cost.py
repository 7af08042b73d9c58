"""What a quantisation costs: docs/quantisation.md's tables, its pictures, the sensitivity table.

    python scripts/quantisation_cost.py WORK            # everything; WORK takes 12 GB of files
    python scripts/quantisation_cost.py WORK --only demo|sensitivity|targets|width|sizes

`demo` makes clips of the demo model with the matrices rounded to each type; `sensitivity` rounds
one group of matrices after the other, and writes the numbers into native/src/sensitivity.cpp;
`targets` compares what `--target-size` expects of them with what comes;
`width` runs random weights at the true widths, in files that `ltx2 convert` made; `sizes` computes
files from the shapes of the whole model.

The demo model's own file is Q5_1, so its values lie on a grid that Q5_1 would find again for
nothing. Before all else each value is moved by a random part of its grid's step, half at most,
which gives a model of the same abilities whose values lie anywhere.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

os.environ.setdefault("LTX2_EXACT", "1")  # what weights cost, not what arithmetic does

import bench_models
import full_shapes
import gguf
import make_twins
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import ltx2
from ltx2.convert import convert, plan

ROOT = Path(__file__).parents[1]
DEMO = [Path(ltx2.__file__).parent / "demo" / f"ltx2-demo{part}.gguf" for part in ("-gemma", "")]
CLIP: dict[str, Any] = {"width": 128, "height": 128, "frames": 25, "audio": False}
TYPES = ["bf16", "f16", "q8_0", "q6_k", "q5_1", "q5_k", "q4_0", "q4_k", "q3_k"]
PICTURED = ["f16", "q8_0", "q6_k", "q5_k", "q4_k", "q4_0", "q3_k"]
BLOCKS = 4  # at the true width
SENSITIVITY = ROOT / "native" / "src" / "sensitivity.cpp"

Values = dict[str, NDArray[np.float32]]


# ---- the demo model, off its grid


class Model:
    """Files of the demo model whose values can be changed."""

    def __init__(self) -> None:
        self.readers = [gguf.GGUFReader(path) for path in DEMO]
        random = np.random.default_rng(0)
        self.values: Values = {}
        self.matrices: list[str] = []  # which quantisation is about
        for reader in self.readers:
            for tensor in reader.tensors:
                plain = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
                step = _steps(tensor)
                small = plain.ndim < 2 or "to_gate_logits" in tensor.name
                if not small and any(_matches(group, tensor.name) for group in groups()[:-1]):
                    self.matrices.append(tensor.name)
                if step is not None:
                    plain = plain + (step * random.uniform(-0.5, 0.5, plain.shape)).astype("f4")
                self.values[tensor.name] = plain.astype(np.float32)

    def write(self, folder: Path, changed: Values) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        values = self.values | changed
        paths = []
        for source, reader in zip(DEMO, self.readers, strict=True):
            paths.append(folder / source.name)
            out = gguf.GGUFWriter(paths[-1], reader.fields["general.architecture"].contents())
            for key, field in reader.fields.items():
                if not key.startswith(("GGUF.", "general.architecture", "ltx2.tensor")):
                    out.add_key_value(key, field.contents(), *field.types[:2])
            for tensor in reader.tensors:
                out.add_tensor(tensor.name, values[tensor.name])
            out.write_header_to_file()
            out.write_kv_data_to_file()
            out.write_tensors_to_file()
            out.close()
        return paths


def _steps(tensor: Any) -> NDArray[np.float32] | None:
    """Of each value, the step of the grid that it lies on; None where it is not quantised."""
    if tensor.tensor_type not in (gguf.GGMLQuantizationType.Q5_1, gguf.GGMLQuantizationType.Q8_0):
        return None
    _, size = gguf.GGML_QUANT_SIZES[tensor.tensor_type]
    blocks = tensor.data.reshape(-1, size)
    steps = np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)
    out: NDArray[np.float32] = np.repeat(steps, 32, 1).reshape(tensor.shape.tolist()[::-1])
    return np.abs(out)


def rounded(values: Values, kind: str, work: Path) -> Values:
    """As the type stores them, one row after the other: rows here are shorter than its blocks."""
    name = "text_embedding_projection.video_aggregate_embed.weight"
    flat = [np.pad(v.ravel(), (0, -v.size % 256)) for v in values.values()]
    whole = np.concatenate(flat).reshape(-1, 256)
    header = {
        "__metadata__": {"model_version": "2.3.0"},
        name: {"dtype": "F32", "shape": whole.shape, "data_offsets": [0, whole.nbytes]},
    }
    text = json.dumps(header).encode()
    source = work / "values.safetensors"
    source.write_bytes(len(text).to_bytes(8, "little") + text + whole.tobytes())
    [tensor] = gguf.GGUFReader(convert(source, work / "values.gguf", kind)).tensors
    back = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).ravel()
    ends = np.cumsum([len(part) for part in flat])
    parts = np.split(back, ends[:-1])
    return {
        key: part[: v.size].reshape(v.shape)
        for (key, v), part in zip(values.items(), parts, strict=True)
    }


# ---- clips and how they differ


class Clips:
    def __init__(self, files: list[Path], prompts: list[str]) -> None:
        with ltx2.Session(files, device="CPU") as session:
            videos = [session.t2v(prompt, seed=i, **CLIP) for i, prompt in enumerate(prompts)]
        self.frames = np.stack([np.array(v.frames) for v in videos])
        self.latents = np.stack([np.array(v.latents) for v in videos])


def mse(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Of bytes, as a part of white."""
    return float(np.mean(((a.astype(np.float64) - b) / 255) ** 2))


def nmse(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.sum((a.astype(np.float64) - b) ** 2) / np.sum(b.astype(np.float64) ** 2))


def decibels(error: float) -> float:
    return -10 * math.log10(max(error, 1e-12))


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The mean over windows of 8 x 8 pixels of the frames' brightness."""
    weights = np.array([0.299, 0.587, 0.114])

    def windows(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
        grey = frames.reshape(-1, *frames.shape[-3:]) @ weights
        return np.lib.stride_tricks.sliding_window_view(grey, (8, 8), (1, 2))[:, ::4, ::4]

    x, y = windows(a), windows(b)
    mean_x, mean_y = x.mean((-1, -2)), y.mean((-1, -2))
    both = (x * y).mean((-1, -2)) - mean_x * mean_y
    little, less = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + little) * (2 * both + less)
    below = (mean_x**2 + mean_y**2 + little) * (x.var((-1, -2)) + y.var((-1, -2)) + less)
    return float(np.mean(above / below))


def prompts(count: int) -> list[str]:
    known = json.loads((ROOT / "tests" / "golden" / "demo-prompts.json").read_text())
    return [scene["prompt"] for scene in known[:count]]


def demo(work: Path, count: int) -> dict[str, Clips]:
    model = Model()
    matrices = {name: model.values[name] for name in model.matrices}
    wanted = Clips(model.write(work / "demo", rounded(matrices, "f16", work)), prompts(count))
    made = {"f16": wanted}
    print(f"\ndemo model, {count} clips against F16\n")
    print("| type | weights, NMSE | latents, NMSE | frames, PSNR in dB | SSIM |")
    print("|---|---:|---:|---:|---:|")
    for kind in TYPES:
        if kind == "f16":
            continue
        changed = rounded(matrices, kind, work)
        clips = made[kind] = Clips(model.write(work / "demo", changed), prompts(count))
        error = nmse(np.concatenate([v.ravel() for v in changed.values()]),
                     np.concatenate([v.ravel() for v in matrices.values()]))  # fmt: skip
        print(
            f"| `{kind}` | {error:.1e} | {nmse(clips.latents, wanted.latents):.1e} "
            f"| {decibels(mse(clips.frames, wanted.frames)):.1f} "
            f"| {ssim(clips.frames, wanted.frames):.3f} |",
            flush=True,
        )
    return made


def picture(made: dict[str, Clips], path: Path) -> None:
    """Two rows per clip: its last frame in each type, and four times what differs from F16."""
    kinds = [kind for kind in PICTURED if kind in made]
    side, bar, clips = 96, 14, 3
    sheet = Image.new("RGB", (side * len(kinds), bar + 2 * side * clips), "white")
    draw = ImageDraw.Draw(sheet)
    for column, kind in enumerate(kinds):
        draw.text((column * side + 4, 1), kind.upper(), fill="black")
        for row in range(clips):
            frame = made[kind].frames[row, -1]
            apart = frame.astype(int) - made["f16"].frames[row, -1].astype(int)
            shown = np.clip(128 + 4 * apart, 0, 255).astype(np.uint8)
            for half, pixels in enumerate((frame, shown)):
                small = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
                sheet.paste(small, (column * side, bar + (2 * row + half) * side))
    sheet.quantize(192).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size} bytes")


# ---- which matrices it is that count


def groups() -> list[str]:
    return re.findall(r'^ +\{"(.+)", [0-9.e+-]+\}', SENSITIVITY.read_text(), re.MULTILINE)


def _matches(pattern: str, name: str) -> bool:
    form = re.escape(pattern).replace(r"\*", ".*").replace(r"\#", "[0-9]+")
    return re.fullmatch(form, name) is not None


def sensitivity(work: Path, count: int, kind: str = "q4_0") -> None:
    model = Model()
    exact = {name: model.values[name] for name in model.matrices}
    wanted = Clips(model.write(work / "demo", {}), prompts(count))
    coarse = rounded(exact, kind, work)
    left, found, errors = list(model.matrices), {}, []
    for pattern in groups()[:-1]:
        names = [name for name in left if _matches(pattern, name)]
        left = [name for name in left if name not in names]
        if not names:
            raise SystemExit(f"{pattern}: the demo model has no such matrix")
        changed = {name: coarse[name] for name in names}
        weights = np.mean([nmse(coarse[name], exact[name]) for name in names])
        clips = Clips(model.write(work / "demo", changed), prompts(count))
        errors.append(mse(clips.frames, wanted.frames))
        found[pattern] = errors[-1] / float(weights)
        print(f"{pattern}: {decibels(errors[-1]):.1f} dB", flush=True)
    if left:
        print("in no group:", left)
    found["*"] = float(np.mean(list(found.values())))
    text = SENSITIVITY.read_text()
    for pattern, value in found.items():
        row = re.escape(f'{{"{pattern}", ') + "[0-9.e+-]+"
        text = re.sub(row, f'{{"{pattern}", {value:.3g}', text)
    SENSITIVITY.write_text(text)
    print(f"the sum of the groups says {decibels(sum(errors)):.1f} dB")
    clips = Clips(model.write(work / "demo", coarse), prompts(count))
    print(f"all of them at once give {decibels(mse(clips.frames, wanted.frames)):.1f} dB")


def targets(work: Path, count: int) -> None:
    """Whether `target_size` promises what comes, by the table that the library was built with."""
    files = Model().write(work / "demo", {})
    wanted = Clips(files, prompts(count))
    [source] = [file for file in files if "gemma" not in file.name]
    print("\n| the size of | expected, dB | measured, dB | in that type alone, dB |")
    print("|---|---:|---:|---:|")
    for kind in ("q4_0", "q5_1", "q8_0"):
        cells = []
        for options in ({"target_size": plan(source, kind)["size"] + 4096}, {"type": kind}):
            made = convert(source, work / "target.gguf", **options)
            clips = Clips([made, *(file for file in files if file != source)], prompts(count))
            cells.append(decibels(mse(clips.frames, wanted.frames)))
            if "target_size" in options:
                about = gguf.GGUFReader(made).fields["ltx2.quantisation"].contents()
                cells.insert(0, json.loads(about)["expected_psnr"])
        print(f"| `{kind}` | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |", flush=True)


# ---- true widths


def width(work: Path) -> None:
    """Of four DiT blocks and a connector's, the latents after two steps; of Gemma's layers, states.

    Random weights hardly listen to the text, so Gemma's states are looked at themselves.
    """
    source, gemma, made = (work / f"width-{name}.gguf" for name in ("f16", "gemma", "made"))
    w = bench_models._Writer(gemma, "gemma3", "F16")
    bench_models._gemma(w, bench_models.VIDEO["gemma"])
    make_twins._tokenizer_keys(w.out, bench_models.GEMMA["vocab"])
    w.close()
    w = bench_models._Writer(source, "ltxv", "F16")
    w.out.add_string("config", json.dumps(bench_models.config(BLOCKS)))
    w.out.add_string("model_version", "2.3.0")
    bench_models._dit(w, BLOCKS)
    bench_models._connector(w, 1)
    bench_models._vae(w, "encode", "decode")
    w.close()

    def latents(files: list[Path]) -> NDArray[np.float32]:
        with ltx2.Session(files, device="CPU") as session:
            video = session.t2v(
                "x",
                width=64,
                height=64,
                frames=9,
                seed=1,
                steps=2,
                schedule="linear_quadratic",
                guidance=1,
                stg=0,
            )
        return np.array(video.latents)

    def states(file: Path) -> NDArray[np.float32]:
        np.save(work / "ids.npy", np.arange(2, 34, dtype=np.int32))
        program = Path(os.environ.get("LTX2_BUILD", ROOT / "build")) / "tests" / "ltx2_tap"
        ids = f"ids={work / 'ids.npy'}"
        subprocess.run([program, "text-encoder", file, work, ids], check=True)
        out: NDArray[np.float32] = np.load(work / "states.npy")
        return out

    wanted, wanted_states = latents([source, gemma]), states(gemma)
    print("\ntrue widths, random weights: NMSE against F16\n")
    print("| type | latents | Gemma's states |\n|---|---:|---:|")
    for kind in TYPES:
        patterns = {"*to_gate_logits*": "f16", "*.transformer_blocks.#.*": kind}
        convert(source, made, kind, tensor_type=patterns, variant="distilled")
        error = nmse(latents([made, gemma]), wanted)
        of_states = nmse(states(convert(gemma, made, kind)), wanted_states)
        print(f"| `{kind}` | {error:.1e} | {of_states:.1e} |", flush=True)
    for path in (source, gemma, made):
        path.unlink()


# ---- sizes


def sizes(work: Path) -> None:
    source = full_shapes.write(work / "full.safetensors", full_shapes.video())
    gemma = full_shapes.write_gemma(
        work / "full-gemma", full_shapes.GEMMA_12B, full_shapes.VOCABULARY_12B
    )
    print("\nGB of the 22B's video file and of Gemma 3 12B's\n")
    print("| type | DiT | connector | projection | video VAE | video file | Gemma file |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for kind in ("f32", *TYPES):
        planned = plan(source, kind, variant="distilled")
        parts = dict.fromkeys(("dit", "connector", "projection", "video_vae"), 0)
        for tensor in planned["tensors"]:
            parts[tensor["part"]] += tensor["bytes"]
        cells = [*parts.values(), planned["size"], plan(gemma, kind)["size"]]
        print(f"| `{kind}` | " + " | ".join(f"{cell / 1e9:.1f}" for cell in cells) + " |")
    source.unlink()
    shutil.rmtree(gemma)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", choices=["demo", "sensitivity", "targets", "width", "sizes"])
    parser.add_argument("--clips", type=int, default=8)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    only = args.only
    if only in (None, "sizes"):
        sizes(args.work)
    if only in (None, "demo"):
        picture(demo(args.work, args.clips), ROOT / "docs" / "quantisation.png")
    if only in (None, "sensitivity"):
        sensitivity(args.work, args.clips)
    if only in (None, "targets"):
        targets(args.work, args.clips)
    if only in (None, "width"):
        width(args.work)


if __name__ == "__main__":
    main()
