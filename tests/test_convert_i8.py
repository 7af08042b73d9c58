"""ltx2.convert to ComfyUI's rotated 8-bit codes: type "i8"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comfy_quant
import gguf
import numpy as np
import pytest
from safetensors_file import Stored, write_safetensors
from test_convert import DIT, METADATA, normal, six_blocks

import ltx2
from ltx2.convert import convert, plan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MODULE = DIT + "transformer_blocks.2.attn1.to_k"
WEIGHT = normal(96, 768)
WEIGHT[3] = 0


@pytest.fixture
def source_of(tmp_path: Path) -> Callable[..., Path]:
    def source(weight: NDArray[np.float32] = WEIGHT, **more: Stored) -> Path:
        tensors = six_blocks() | {MODULE + ".weight": ("F32", weight)}
        tensors |= {MODULE + "." + name: stored for name, stored in more.items()}
        return write_safetensors(tmp_path / "a.safetensors", tensors, METADATA)

    return source


def codes(path: Path) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    made = {t.name: t for t in gguf.GGUFReader(path).tensors}
    weight = made[MODULE + ".weight"]
    assert weight.tensor_type == gguf.GGMLQuantizationType.I8
    return weight.data.reshape(WEIGHT.shape), made[MODULE + ".weight_scale"].data


def nmse_of(path: Path, want: NDArray[Any]) -> float:
    whole, scales = codes(path)
    have = comfy_quant.rotate(whole * scales[:, None])
    return float(np.sum((have - want) ** 2.0) / np.sum(want**2.0))


def test_codes_are_those_that_comfyui_s_tools_make(
    source_of: Callable[..., Path], tmp_path: Path
) -> None:
    whole, scales = codes(convert(source_of(), tmp_path / "a.gguf", "i8"))
    want, _ = comfy_quant.int8(WEIGHT, 256)
    # A value in the middle of two may be rounded to either.
    assert np.abs(whole.astype(int) - want["weight"].data).max() <= 1
    assert np.mean(whole != want["weight"].data) < 1e-3
    wanted = want["weight_scale"].data.ravel()
    assert np.allclose(np.delete(scales, 3), np.delete(wanted, 3), rtol=1e-6)


def test_adapters_are_merged_before_the_scales_are_found(
    source_of: Callable[..., Path], tmp_path: Path
) -> None:
    down, up = normal(4, 768), 3 * normal(96, 4)
    names = (MODULE.removeprefix("model.") + end for end in (".lora_A.weight", ".lora_B.weight"))
    lora = write_safetensors(
        tmp_path / "l.safetensors",
        {n: ("F32", m) for n, m in zip(names, (down, up), strict=True)},
        {},
    )
    made = convert(source_of(), tmp_path / "a.gguf", "i8", loras=[lora])
    assert nmse_of(made, WEIGHT + up @ down) < 1e-4  # measured 5e-5


def test_what_is_a_code_already_is_made_again(
    source_of: Callable[..., Path], tmp_path: Path
) -> None:
    once = convert(source_of(), tmp_path / "a.gguf", "i8")
    again = convert(once, tmp_path / "b.gguf", "i8")
    assert nmse_of(again, comfy_quant.rotate(codes(once)[0] * codes(once)[1][:, None])) < 1e-9


def test_values_whose_sums_are_too_large_are_an_error(
    source_of: Callable[..., Path], tmp_path: Path
) -> None:
    weight = WEIGHT.copy()
    weight[5] = 1e38
    with pytest.raises(ltx2.ModelError, match=r"to_k\.weight.* values too large for i8"):
        convert(source_of(weight), tmp_path / "a.gguf", "i8")


def test_a_scale_that_was_there_is_left_out(source_of: Callable[..., Path], tmp_path: Path) -> None:
    source = source_of(weight_scale=("F32", np.full(96, 7, np.float32)))
    assert nmse_of(convert(source, tmp_path / "a.gguf", "i8"), WEIGHT) < 1e-4


def test_a_target_size_takes_no_codes(source_of: Callable[..., Path]) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="i8 has no place in a target_size"):
        plan(source_of(), target_size=10**7, tensor_type={"*.attn1.*.weight": "i8"})
