"""Latent upsamplers against the official code, on tiny ones with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import make_tiny
import numpy as np
import pytest
import tiny_shapes
from parity import golden, run
from safetensors_file import write_safetensors
from tolerance import NMSE, nmse

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path


def written(
    kind: str, path: Path, dtype: str = "F32", drop: str = "",
    channels: int = tiny_shapes.UPSAMPLER_CHANNELS,
) -> Path:  # fmt: skip
    """The tiny upsampler of this kind."""
    tensors = {
        name: (dtype if len(shape) > 1 else "F32", make_tiny.tensor(kind, name, shape))
        for name, shape in tiny_shapes.upsampler(kind, channels).items()
        if not drop or drop not in name
    }
    return write_safetensors(path, tensors)


@pytest.mark.parametrize("size", ["wide", "odd", "one"])
@pytest.mark.parametrize("kind", tiny_shapes.UPSAMPLERS)
def test_latents_become_the_official_ones(kind: str, size: str, tmp_path: Path) -> None:
    want = golden("all-upsampler")
    model = written(kind, tmp_path / f"{kind}.safetensors")
    have = run("upsample", [model], tmp_path, latent=want[f"{size}.latent"])["latent"]
    error = nmse(have, want[f"{kind}.{size}"])
    print(error)
    assert error <= NMSE["upsampler", "F32"].limit


@pytest.mark.parametrize("kind", tiny_shapes.UPSAMPLERS)
def test_f16_weights_cost_little(kind: str, tmp_path: Path) -> None:
    want = golden("all-upsampler")
    model = written(kind, tmp_path / f"{kind}.safetensors", "F16")
    have = run("upsample", [model], tmp_path, latent=want["wide.latent"])["latent"]
    error = nmse(have, want[f"{kind}.wide"])
    print(error)
    assert error <= NMSE["upsampler", "F16"].limit


def id_of(kind: str) -> str:
    """Twice the frames alone is a part of its own: a recipe has one of each."""
    return "temporal_upsampler" if kind == "temporal" else "upsampler"


@pytest.mark.parametrize("kind", tiny_shapes.UPSAMPLERS)
def test_a_converted_one_is_the_same(kind: str, tmp_path: Path) -> None:
    """In F16, as convolutions are stored whatever the type."""
    want = golden("all-upsampler")
    source = written(kind, tmp_path / f"{kind}.safetensors")
    model = convert(source, tmp_path / f"{kind}.gguf", "q8_0")
    (about,) = ltx2.describe(model)["parts"]
    assert about["id"] == id_of(kind)
    have = run("upsample", [model], tmp_path, latent=want["wide.latent"])["latent"]
    error = nmse(have, want[f"{kind}.wide"])
    print(error)
    assert error <= NMSE["upsampler", "F16"].limit


def test_with_ggml_s_own_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    want = golden("all-upsampler")
    for kind in tiny_shapes.UPSAMPLERS:
        model = written(kind, tmp_path / f"{kind}.safetensors")
        have = run("upsample", [model], tmp_path / kind, latent=want["wide.latent"])["latent"]
        assert nmse(have, want[f"{kind}.wide"]) <= NMSE["upsampler", "F32"].limit, kind


def test_it_is_told_from_its_tensors(tmp_path: Path) -> None:
    for kind in tiny_shapes.UPSAMPLERS:
        about = ltx2.describe(written(kind, tmp_path / f"{kind}.safetensors"))
        assert about["problem"] is None
        (part,) = about["parts"]
        assert part["id"] == id_of(kind)
        assert part["geometry"] == {"width": 64, "channels": 16}


def test_what_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    want = golden("all-upsampler")
    model = written("spatial", tmp_path / "x.safetensors", drop="upsampler.0.bias")
    with pytest.raises(pytest.fail.Exception, match=r"tensor upsampler\.0\.bias of the latent"):
        run("upsample", [model], tmp_path, latent=np.zeros_like(want["wide.latent"]))
