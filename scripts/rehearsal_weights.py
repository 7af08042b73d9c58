"""Random weights of a whole model, laid out as `ltx2 convert` does: what a rehearsal runs on.

The source is a checkpoint of the true shapes with no values, a file of holes that takes no room on
the disk; the library's own conversion says how each tensor would be stored; and the values are
random blocks of that type, of a size that keeps activations finite.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ltx2 import convert, writer

sys.path.insert(0, str(Path(__file__).parent))
import full_shapes
import make_tiny
import tiny_shapes
from tiny_shapes import Shapes

PIECE = 1 << 16  # blocks that are made, and then repeated
# Of each type: bytes of a block, and the scale at which uniformly random bits have deviation 1.
BLOCKS = {"q4_0": (18, 0.22), "q5_1": (24, 0.108), "q8_0": (34, 0.0135)}


def full_size(generation: str = "2.3") -> tuple[dict[str, Any], dict[str, Any], int]:
    """The config of the model, that of its text encoder, and the rows of the vocabulary."""
    if generation == "2.5":
        return full_shapes.config25(), full_shapes.GEMMA4_12B, full_shapes.VOCABULARY4_12B
    return full_shapes.config(), full_shapes.GEMMA_12B, full_shapes.VOCABULARY_12B


class _Values:
    """Random values, as bytes of a type; the same bits come again and again."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._bits = random.integers(0, 256, PIECE * 34, dtype=np.uint8)
        self._normal = random.standard_normal(PIECE, dtype=np.float32)

    def _piece(self, kind: str, mean: float, deviation: float) -> bytes:
        if kind not in BLOCKS:
            values = self._normal * np.float32(deviation) + np.float32(mean)
            return bytes(values.astype({"f32": "<f4", "f16": "<f2"}[kind]).tobytes())
        size, unit = BLOCKS[kind]
        blocks = self._bits[: PIECE * size].reshape(PIECE, size).copy()
        scale = deviation * unit
        head = [scale, -15.5 * scale] if kind == "q5_1" else [scale]
        blocks[:, : 2 * len(head)] = np.array(head, "<f2").view(np.uint8)
        return bytes(blocks.tobytes())

    def write(self, file: BinaryIO, tensor: dict[str, Any], shape: tuple[int, ...]) -> None:
        mean, deviation = _statistics(tensor["name"], shape)
        piece, left = self._piece(tensor["type"], mean, deviation), tensor["bytes"]
        file.writelines([piece] * (left // len(piece)))
        file.write(memoryview(piece)[: left % len(piece)])
        file.write(bytes(-file.tell() % 32))


def _statistics(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    if "norm" in name and len(shape) == 1:
        return 1.0, 0.02
    mean, deviation = make_tiny._statistics(name, shape)
    return mean, deviation


def _write(source: Path, target: Path, kind: str, shapes: Shapes) -> None:
    values = _Values()
    plan = convert.plan(source, kind)
    convert._check_space(plan, target)
    with writer.new_file(target) as temporary, temporary.open("wb") as file:
        file.write(convert._head(plan))
        for tensor in plan["tensors"]:
            shape = shapes.get(tensor["name"], tuple(tensor["shape"]))
            values.write(file, dict(tensor), shape)


def make(
    folder: Path,
    kind: str = "q4_0",
    model: tuple[dict[str, Any], dict[str, Any], int] | None = None,
    registers: int = full_shapes.REGISTERS,
) -> Path:
    """Write ltx.gguf and gemma.gguf into `folder`, where they are not there yet.

    `model` is the config of the checkpoint, Gemma's, and the rows of its embedding; by default the
    full size.
    """
    config, gemma, rows = model or full_size()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        if not (folder / "ltx.gguf").exists():
            layers = gemma["num_hidden_layers"]
            shapes = tiny_shapes.transformer(config["transformer"], registers, layers)
            shapes |= tiny_shapes.vae(config["vae"])
            version = "2.5.0" if full_shapes.is_gemma4(gemma) else "2.3.0"
            source = full_shapes.write(
                Path(scratch) / "distilled.safetensors", shapes, config, version
            )
            _write(source, folder / "ltx.gguf", kind, shapes)
        if not (folder / "gemma.gguf").exists():
            source = full_shapes.write_gemma(Path(scratch) / "gemma", gemma, rows)
            _write(source, folder / "gemma.gguf", kind, full_shapes.gemma(gemma, rows))
    return folder
