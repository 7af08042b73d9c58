"""Files as people have them: one model in every layout and type gives the same video.

LTX2_MEASURE=1 prints what each type gives, for the tables of tolerance.py and docs/formats.md.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import make_twins
import numpy as np
import pytest
from make_twins import DIT, STEM, TEXT, VIDEO
from tolerance import TWINS, TWINS_PSNR, nmse, psnr

import ltx2

if TYPE_CHECKING:
    from make_tiny import Array
    from make_twins import Model, TypeOf

PROMPT = "a red circle moves right on a blue background, then a green square falls"
PICTURE = np.add.outer(np.arange(64), np.arange(64))[..., None].repeat(3, 2).astype(np.uint8)


def generate(paths: list[Path], **options: Any) -> tuple[ltx2.Video, ltx2.Video]:
    """A video of text alone, and one that begins with a picture."""
    want = {"width": 64, "height": 64, "frames": 9, "seed": 3, "audio": False, **options}
    with ltx2.Session(paths, device="CPU", threads=1) as session:
        text = session.t2v(PROMPT, **want)
        return text, session.i2v(PROMPT, PICTURE, crf=0, **want)


@pytest.fixture(scope="module")
def official(twins: dict[str, list[Path]]) -> tuple[ltx2.Video, ltx2.Video]:
    return generate(twins["official"] + twins["sharded"], audio=True)


@pytest.mark.parametrize("name", [*VIDEO, *TEXT])
def test_every_layout_gives_the_same_bits(
    name: str, twins: dict[str, list[Path]], official: tuple[ltx2.Video, ltx2.Video]
) -> None:
    other = "sharded" if name in VIDEO else "official"
    made = generate(twins[name] + twins[other], audio=True)
    for ours, want in zip(made, official, strict=True):
        assert ours.frames.std() > 1
        assert ours.audio is not None and want.audio is not None
        assert ours.audio.std() > 1e-3
        assert np.array_equal(ours.audio, want.audio)
        assert np.array_equal(ours.frames, want.frames)
        assert ours.latents is not None and want.latents is not None
        assert np.array_equal(ours.latents, want.latents)


# ---- types: a file against another that holds its values as F32

# Tried on request. Quantising to the first takes ggml up to half a minute: they get one matrix.
SLOW = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
QUICK = (
    *("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K"),
    *("IQ4_NL", "IQ4_XS", "MXFP4"),
)
RARE = ("TQ2_0", "TQ1_0", "NVFP4")


def one_type(kind: str) -> TypeOf:
    """As the files of a publisher: all matrices of the blocks in this type, or the first one."""
    pattern = r"_blocks\.0\.attn1\.to_q\.weight" if kind in SLOW else r"_blocks\..*\.weight"

    def type_of(name: str, values: Array) -> str:
        if values.ndim == 1:
            return "F32"
        return kind if re.search(pattern, name) and values.shape[0] >= 128 else "BF16"

    return type_of


def decoded(model: Model, tensors: dict[str, Array], type_of: TypeOf) -> dict[str, Array]:
    """The values that are left of them."""
    return {n: model.rounded(type_of(n, v), v) for n, v in tensors.items()}


def compare(name: str, ours: list[Path], theirs: list[Path]) -> None:
    for video, want in zip(generate(ours), generate(theirs), strict=True):
        assert video.latents is not None
        assert want.latents is not None
        error, db = nmse(video.latents, want.latents), psnr(video.frames, want.frames)
        if os.environ.get("LTX2_MEASURE"):
            print(f"{name}: latents NMSE {error:.1e}, frames {db:.1f} dB")
        assert error <= TWINS[name].limit
        assert db >= TWINS_PSNR.limit


@pytest.mark.parametrize(
    "kind",
    ["Q4_K_M", *QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW + RARE)],
)
def test_the_transformer_computes_with_what_a_type_holds(
    kind: str, twin: Model, twins: dict[str, list[Path]], tmp_path: Path
) -> None:
    mixture = make_twins.llama_quantize("Q4_K", make_twins.Q4_K_M)
    type_of = mixture if kind == "Q4_K_M" else one_type(kind)
    tensors = make_twins.stripped(twin.part(DIT), DIT)
    files = {"ours": (tensors, type_of)}
    files["theirs"] = (decoded(twin, tensors, type_of), make_twins.plain("F32"))
    rest = sorted(twins["comfy-gguf-bf16"][0].glob("*.safetensors"))
    models = []
    for name, (values, kinds) in files.items():
        path = tmp_path / name / f"{STEM}.gguf"
        make_twins.put_gguf(twin, path, "ltxv", values, kinds, make_twins.states(twin))
        models.append([path, *rest, *twins["sharded"]])
    compare(kind, *models)


GEMMA = {
    "Gemma Q8_0": make_twins.llama_quantize("Q8_0"),
    "Gemma Q4_0, F16 embedding": make_twins.llama_quantize("Q4_0", {"token_embd": "F16"}),
    "Gemma Q4_0, Q6_K embedding": make_twins.llama_quantize("Q4_0", {"token_embd": "Q6_K"}),
    "Gemma Q4_K_M": make_twins.llama_quantize("Q4_K", make_twins.GEMMA_Q4_K_M),
}


@pytest.mark.parametrize("name", GEMMA)
def test_the_text_encoder_computes_with_what_a_type_holds(
    name: str, twin: Model, twins: dict[str, list[Path]], tmp_path: Path
) -> None:
    type_of = GEMMA[name]
    ours = make_twins.llama_cpp(twin, tmp_path / "ours.gguf", type_of)
    theirs = make_twins.llama_cpp(twin, tmp_path / "theirs.gguf", type_of, decoded=True)
    compare(name, [*twins["official"], ours], [*twins["official"], theirs])
