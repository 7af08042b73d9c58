"""A converted model gives the video of the files it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import make_tiny
import numpy as np
import pytest
from make_twins import TEXT, VIDEO

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# PSNR in dB of both files in one type against the F32 sources, measured with the coarsest kernels
# (pairs of BF16, 8-bit activations); 3 dB less is the limit.
PSNR = {"f16": 61.9, "q8_0": 62.1, "q5_1": 56.1, "q4_0": 47.3}


def clip(files: list[Path]) -> NDArray[Any]:
    with ltx2.Session(files) as session:
        video = session.t2v(
            "a red circle", width=64, height=64, frames=9, seed=1, steps=2, guidance=1, stg=0,
            audio=False,
        )  # fmt: skip
    return np.asarray(video.frames, np.float64)


@pytest.fixture(scope="module")
def wanted(tiny: dict[str, Path]) -> NDArray[Any]:
    return clip([tiny["base"], tiny["base"].parent / "gemma"])


def converted(tiny: dict[str, Path], folder: Path, kind: str) -> list[Path]:
    return [
        convert(tiny["base"], folder / "video.gguf", kind),
        convert(tiny["base"].parent / "gemma", folder / "gemma.gguf", kind),
    ]


def test_at_f32_the_video_is_the_same(
    tiny: dict[str, Path], wanted: NDArray[Any], tmp_path: Path
) -> None:
    made = clip(converted(tiny, tmp_path, "f32"))
    assert wanted.std() > 10
    assert np.array_equal(made, wanted)


@pytest.mark.parametrize("kind", PSNR)
def test_a_smaller_type_costs_what_was_measured(
    kind: str, tiny: dict[str, Path], wanted: NDArray[Any], tmp_path: Path
) -> None:
    made = clip(converted(tiny, tmp_path, kind))
    psnr = 10 * np.log10(255**2 / np.mean((made - wanted) ** 2))
    assert psnr >= PSNR[kind] - 3


def tensors(path: Path) -> dict[str, Any]:
    return {
        t.name: (t.tensor_type, t.shape.tolist(), t.data.tobytes())
        for t in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize("name", [*VIDEO, *TEXT])
def test_every_layout_becomes_the_same_tensors(
    name: str, twins: dict[str, list[Path]], tmp_path: Path
) -> None:
    usual = "official" if name in VIDEO else "sharded"
    made, wanted = (
        tensors(convert(twins[layout], tmp_path / f"{layout}.gguf", "q8_0"))
        for layout in (name, usual)
    )
    assert len(wanted) > 20
    assert made.keys() == wanted.keys()
    assert [name for name in wanted if made[name] != wanted[name]] == []


# Of the blocks' matrices in rows of 256, so that every type is stored as what it is; against F16.
# BF16 has 87 dB where the arithmetic is F32's; as pairs of BF16 it is as far off as F16 above.
BLOCKS = {"bf16": 61.9, "q8_0": 56.4, "i8": 56.9, "q6_k": 52.4, "q5_1": 47.4, "q5_k": 46.6,
          "q4_0": 42.6, "q4_k": 44.0, "q3_k": 35.3}  # fmt: skip


@pytest.fixture(scope="module")
def blocks(folder: Path) -> Path:
    """Tiny files whose matrices are whole blocks of every type."""
    return make_tiny.generate("twins", folder / "twins")


@pytest.fixture(scope="module")
def precise(blocks: Path, folder: Path) -> NDArray[Any]:
    return clip(in_type(blocks, folder, "f16"))


def in_type(blocks: Path, folder: Path, kind: str) -> list[Path]:
    """All of its matrices, but those that are small, without the steps that edges go higher."""
    patterns = {"*to_gate_logits*": "f16", "*.transformer_blocks.#.*": kind}
    made = convert(
        blocks / "ltx-tiny-twins.safetensors", folder / "v.gguf", kind, tensor_type=patterns
    )
    return [made, convert(blocks / "gemma", folder / "g.gguf", kind)]


@pytest.mark.parametrize("kind", BLOCKS)
def test_each_type_runs_as_a_target(
    kind: str, blocks: Path, precise: NDArray[Any], tmp_path: Path
) -> None:
    files = in_type(blocks, tmp_path, kind)
    for file in files:
        assert ltx2.describe(file)["types"][storage(kind)]["tensors"] > 10
    psnr = 10 * np.log10(255**2 / np.mean((clip(files) - precise) ** 2))
    print(f"{kind} {psnr:.1f} dB")
    assert psnr >= BLOCKS[kind] - 3
    assert psnr < 100  # it is rounded


def storage(kind: str) -> str:
    """As files name it: q4_K."""
    return kind.replace("_k", "_K")
