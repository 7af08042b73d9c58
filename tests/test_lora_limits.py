"""Adapters in any number, of any type, for any module, and for a model that needs none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors
from test_lora import DIT, latents, written
from test_parity_upsampler import written as upsampler
from tolerance import nmse

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from safetensors_file import Stored

RANK = 2
SOUND = {
    "audio_proj_in": "audio_patchify_proj",
    "audio_time_embed.linear": "audio_adaln_single.linear",
    "audio_prompt_adaln.linear": "audio_prompt_adaln_single.linear",
    "av_cross_attn_video_scale_shift.linear": "av_ca_video_scale_shift_adaln_single.linear",
    "av_cross_attn_audio_scale_shift.linear": "av_ca_audio_scale_shift_adaln_single.linear",
    "av_cross_attn_video_a2v_gate.linear": "av_ca_a2v_gate_adaln_single.linear",
    "av_cross_attn_audio_v2a_gate.linear": "av_ca_v2a_gate_adaln_single.linear",
}


def everywhere(checkpoint: Path, size: float, where: str = "") -> dict[str, NDArray[np.float32]]:
    """A pair for each matrix of the transformer whose name holds this."""
    random = np.random.default_rng(3)
    pairs = {}
    for name, (_, values) in read_safetensors(checkpoint)[0].items():
        if not name.startswith(DIT + where) or values.ndim != 2 or not name.endswith(".weight"):
            continue
        module = "diffusion_model." + name[len(DIT) : -len(".weight")]
        for end, shape in (("A", (RANK, values.shape[1])), ("B", (values.shape[0], RANK))):
            values_of = size * random.standard_normal(shape).astype(np.float32)
            pairs[f"{module}.lora_{end}.weight"] = values_of
    return pairs


def test_as_many_as_are_allowed(
    tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 of them for every matrix, the connector's too; NMSE measured 3.4e-11."""
    monkeypatch.setenv("LTX2_EXACT", "1")
    model = tiny["base"].parent
    tensors = everywhere(tiny["base"], 0.05)
    one = written(tmp_path / "one.safetensors", tensors)
    many = [written(tmp_path / f"{i}.safetensors", tensors) for i in range(64)]
    want = latents(model, {one: 1.0})
    error = nmse(latents(model, dict.fromkeys(many, 1 / 64)), want)
    print(f"64 adapters: {error:.2g}")
    assert error < 1e-10
    assert nmse(latents(model), want) > 1e-6


@pytest.mark.parametrize("kind", ["F8_E4M3", "F64", "I8", "I64", "U8", "BOOL"])
def test_types_that_hold_no_weights_are_refused(
    kind: str, tiny: dict[str, Path], tmp_path: Path
) -> None:
    bytes_of = {"F64": 8, "I64": 8}.get(kind, 1)
    tensors: dict[str, Stored] = {}
    for name, values in everywhere(tiny["base"], 1, "transformer_blocks.0.attn1.to_q").items():
        raw = np.zeros(values.shape, f"u{bytes_of}")
        tensors[name] = (kind, raw)
    lora = write_safetensors(tmp_path / "lora.safetensors", tensors)
    words = rf"lora.safetensors: tensor .*to_q.lora_A.weight.* is {kind}, which is not supported"
    with pytest.raises(ltx2.ModelError, match=words):
        latents(tiny["base"].parent, [lora])
    with pytest.raises(ltx2.ModelError, match=words):
        convert(tiny["base"], tmp_path / "out.gguf", "f16", loras={lora: 1.0})


def test_one_that_changes_while_it_is_merged(tiny: dict[str, Path], tmp_path: Path) -> None:
    lora = written(tmp_path / "lora.safetensors", everywhere(tiny["base"], 0.5))

    def damage(_: object) -> None:
        data = bytearray(lora.read_bytes())
        data[-64:] = bytes(64)
        lora.write_bytes(data)

    out = tmp_path / "out.gguf"
    with pytest.raises(ltx2.ModelError, match=r"lora.safetensors: was .* while it was in use"):
        convert(tiny["base"], out, "f16", loras={lora: 1.0}, progress=damage)
    assert not out.exists()


def test_diffusers_names_of_the_sound_s_modules(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = {}
    for theirs, ours in SOUND.items():
        pair = everywhere(tiny["joint"], 1, ours + ".weight")
        assert len(pair) == 2, ours
        for name, values in pair.items():
            ending = name[name.index(".lora_") :]
            tensors["transformer." + theirs + ending] = values
    lora = written(tmp_path / "lora.safetensors", tensors)
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Session(tiny["joint"].parent, device="CPU", loras=[lora]).close()
    assert "not in this model" not in caplog.text


def test_a_distilled_model_needs_no_distilled_one(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = everywhere(tiny["base"], 0.1)
    lora = written(tmp_path / "ltx-2.3-22b-distilled-lora.safetensors", tensors)
    with caplog.at_level(logging.WARNING, "ltx2"):
        ltx2.Session(tiny["base"].parent, device="CPU", loras=[lora]).close()
        assert not caplog.records
        ltx2.Session(
            [tiny["distilled"], tiny["base"].parent / "gemma"], device="CPU", loras=[lora]
        ).close()
    assert "makes a distilled model of a dev one" in caplog.text


TWICE: dict[str, Any] = {
    "width": 128, "height": 128, "frames": 9, "steps": 2, "seed": 1, "recipe": "two-stage"
}  # fmt: skip


def made_by(session: ltx2.Session, **options: Any) -> NDArray[np.float32]:
    made = session.t2v("a red circle", **options).latents
    assert made is not None
    return made


def test_strengths_of_a_stage_end_with_it(tiny: dict[str, Path], tmp_path: Path) -> None:
    """One for the text's connector, which a stage that is stopped leaves out."""

    def stop(progress: ltx2.Progress) -> None:
        if progress.stage == "denoise":
            raise KeyError

    tensors = everywhere(tiny["base"], 0.5, "video_embeddings_connector")
    lora = written(tmp_path / "a-distilled-lora.safetensors", tensors)
    up = upsampler("spatial", tmp_path / "up.safetensors", channels=8)
    model = [tiny["base"].parent, up]
    options = {"width": 64, "height": 64, "frames": 9, "steps": 1, "seed": 1}
    with ltx2.Session(model, device="CPU", threads=1, loras=[lora]) as session:
        fresh = made_by(session, **options)
        for recipe in ("two-stage", "hq"):
            with pytest.raises(KeyError):
                session.t2v("a red circle", **{**TWICE, "recipe": recipe}, progress=stop)
            after = made_by(session, **options)
            assert np.array_equal(fresh, after)
    with ltx2.Session(model, device="CPU", threads=1) as session:
        assert not np.array_equal(fresh, made_by(session, **options))


def test_the_name_of_a_distilled_model_makes_no_distilled_lora(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = everywhere(tiny["base"], 0.2, "transformer_blocks")
    up = upsampler("spatial", tmp_path / "up.safetensors", channels=8)
    made = []
    for name in ("style", "style-for-ltx-2.3-distilled", "ltx-2.3-Distilled_LoRA-8"):
        lora = written(tmp_path / f"{name}.safetensors", tensors)
        caplog.clear()
        with (
            caplog.at_level(logging.INFO, "ltx2"),
            ltx2.Session([tiny["base"].parent, up], threads=1, loras=[lora]) as session,
        ):
            made.append(made_by(session, **TWICE))
        left = [
            m for m in caplog.messages if m.endswith("counts 0 of its strength in stage 1 of 2")
        ]
        assert len(left) == (name == "ltx-2.3-Distilled_LoRA-8")
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_the_embedding_is_not_changed_and_that_is_said(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gemma = tiny["base"].parent / "gemma"
    shapes = [
        values.shape
        for path in gemma.glob("*.safetensors")
        for name, (_, values) in read_safetensors(path)[0].items()
        if name.endswith("embed_tokens.weight")
    ]
    tensors = {
        "token_embd.lora_A.weight": np.ones((1, shapes[0][1]), np.float32),
        "token_embd.lora_B.weight": np.ones((shapes[0][0], 1), np.float32),
    }
    lora = written(tmp_path / "lora.safetensors", tensors)
    ltx2.Session(tiny["base"].parent, device="CPU", loras=[lora]).close()
    assert "lora.safetensors: what it adds to the embedding of the text encoder" in caplog.text
