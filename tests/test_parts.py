"""Files of a model: what is skipped, what is refused, and that all of it is said when it opens."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import gguf
import numpy as np
import pytest
from safetensors_file import Stored, read_safetensors, write_safetensors

import ltx2
from ltx2 import jobs
from ltx2.convert import convert

Tensors: TypeAlias = "dict[str, Stored]"
Damage: TypeAlias = "Callable[[Tensors, str], None]"


def drop(tensors: Tensors, name: str) -> None:
    del tensors[name]


def reshape(tensors: Tensors, name: str) -> None:
    dtype, values = tensors[name]
    rows_are_free = name.endswith(("embed_tokens.weight", "learnable_registers"))
    axis = -1 if rows_are_free else 0
    tensors[name] = dtype, np.repeat(values, 2, axis)


def retype(tensors: Tensors, name: str) -> None:
    tensors[name] = "I32", tensors[name][1]


@pytest.fixture(scope="module")
def checkpoint(tiny: dict[str, Path]) -> tuple[Tensors, dict[str, str]]:
    tensors, metadata = read_safetensors(tiny["base"])
    sound = re.compile("audio|vocoder|av_ca_|a2v")
    return {name: t for name, t in tensors.items() if not sound.search(name)}, metadata


def sample(names: list[str], count: int) -> list[str]:
    """The first, the last, and some between, always the same ones."""
    return sorted({names[round(i)] for i in np.linspace(0, len(names) - 1, count)})


def refused_at_once(files: list[Path], file: Path, tensor: str) -> None:
    stages: list[ltx2.Progress] = []
    with pytest.raises(ltx2.ModelError) as caught:  # noqa: PT012 - whichever of the two it is
        session = ltx2.Session(files, threads=1)
        session.t2v("a dot", progress=stages.append)
    assert not stages
    assert str(file.parent) in str(caught.value)
    assert tensor in str(caught.value)


@pytest.mark.parametrize("damage", [drop, reshape, retype])
@pytest.mark.parametrize(
    "prefix",
    [
        "vae.encoder.",
        "vae.decoder.",
        "vae.per_channel_statistics.",
        "text_embedding_projection.",
        "model.diffusion_model.video_embeddings_connector.",
        "model.diffusion_model.transformer_blocks.",
        "model.diffusion_model.",
    ],
)
def test_every_tensor_of_a_checkpoint_is_checked_when_it_opens(
    checkpoint: tuple[Tensors, dict[str, str]],
    tiny_model: list[Path],
    tmp_path: Path,
    prefix: str,
    damage: Damage,
) -> None:
    tensors, metadata = checkpoint
    names = sorted(name for name in tensors if name.startswith(prefix))
    for name in sample(names, 9):
        copy = dict(tensors)
        damage(copy, name)
        file = write_safetensors(tmp_path / "copy.safetensors", copy, metadata)
        refused_at_once([file, tiny_model[1]], file, name.removeprefix("model.diffusion_model."))


_LLAMA_NAMES = {"embed_tokens": "token_embd", "norm": "output_norm"} | {
    f"layers.{i}.{theirs}": f"blk.{i}.{ours}"
    for i in range(9)
    for theirs, ours in {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }.items()
}


@pytest.mark.parametrize("damage", [drop, reshape, retype])
def test_every_tensor_of_the_text_encoder_is_checked_when_it_opens(
    tiny: dict[str, Path], tmp_path: Path, damage: Damage
) -> None:
    gemma = tmp_path / "gemma"
    shutil.copytree(tiny["odd"].parent / "gemma", gemma)
    file = gemma / "model.safetensors"
    tensors, metadata = read_safetensors(file)
    for name in sample(sorted(tensors), 20):
        copy = dict(tensors)
        damage(copy, name)
        write_safetensors(file, copy, metadata)
        ours = _LLAMA_NAMES[name.removeprefix("model.").removesuffix(".weight")] + ".weight"
        refused_at_once([tiny["odd"], gemma], file, ours)


ADAPTERS: dict[str, dict[str, tuple[int, ...]]] = {
    "lora": {".lora_A.weight": (4, 8), ".lora_B.weight": (8, 4)},
    "kohya": {".lora_down.weight": (4, 8), ".lora_up.weight": (8, 4), ".alpha": ()},
    "lokr": {".lokr_w1": (4, 4), ".lokr_w2": (2, 2), ".alpha": ()},
    "loha": {".hada_w1_a": (8, 4), ".hada_w1_b": (4, 8)},
    "difference": {".diff": (8, 8), ".diff_b": (8,)},
    "dora": {".dora_scale": (8, 1), ".lora_up.weight": (8, 4)},
    "diffusers": {".lora.down.weight": (4, 8), ".lora.up.weight": (8, 4)},
}


def test_a_folder_of_everything_opens_and_each_stranger_is_reported_in_one_line(
    tiny_model: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, gemma = tiny_model
    folder = tmp_path / "models"
    shutil.copytree(gemma, folder / "gemma")
    shutil.copy(checkpoint, folder)
    strangers = folder / "other"
    strangers.mkdir()
    at = "diffusion_model.transformer_blocks.0.attn1.to_q"
    for kind, shapes in ADAPTERS.items():
        write_safetensors(
            strangers / f"{kind}.safetensors",
            {at + name: ("F32", np.zeros(shape, np.float32)) for name, shape in shapes.items()},
        )
    (strangers / "empty.safetensors").touch()
    (strangers / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    (strangers / "half.safetensors").write_bytes(checkpoint.read_bytes()[:-1000])
    (strangers / "page.gguf").write_text("<html>not found</html>")
    (strangers / "dangling.gguf").symlink_to(folder / "nothing.gguf")
    tensors, metadata = read_safetensors(checkpoint)
    metadata["model_version"] = "2.6.0"
    write_safetensors(strangers / "newer.safetensors", tensors, metadata)
    files = sorted(strangers.iterdir())
    with caplog.at_level(logging.INFO, logger="ltx2"):
        ltx2.Session(folder).close()
    for file in files:
        messages = [r.getMessage() for r in caplog.records if str(file) in r.getMessage()]
        assert len(messages) == 1
        assert messages[0].startswith(f"{file}: skipped: ")
        with pytest.raises(ltx2.ModelError) as caught:
            ltx2.Session([checkpoint, gemma, file])
        assert str(caught.value) == messages[0].replace(": skipped: ", ": ")
        assert ("is an adapter (LoRA)" in messages[0]) == (file.stem in ADAPTERS)
    # Where nothing is left, nothing is lost: the message says all of it.
    with pytest.raises(ltx2.ModelError) as caught:
        ltx2.Session(strangers)
    words = str(caught.value)
    assert words.startswith("model: no text encoder, text projection, text connector, ")
    assert f'{strangers / "newer.safetensors"} (states model_version "2.6.0"; ' in words
    assert f"and {len(files) - 8} more" in words


def test_shards_that_are_links_to_two_disks_are_one_text_encoder(
    tiny_model: list[Path], tmp_path: Path
) -> None:
    checkpoint, source = tiny_model
    gemma = tmp_path / "gemma"
    shutil.copytree(source, gemma)
    for disk, shard in zip("ab", sorted(gemma.glob("model-*.safetensors")), strict=True):
        (tmp_path / disk).mkdir()
        shutil.move(shard, tmp_path / disk)
        shard.symlink_to(tmp_path / disk / shard.name)
    shutil.copy(checkpoint, tmp_path)
    for files in ([checkpoint, gemma], [tmp_path]):
        ltx2.Session(files).close()


def stored_as(kind: str, source: Path, target: Path) -> int:
    """Every tensor in this type whose rows are whole blocks of it; how many those are."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
    wanted = gguf.GGMLQuantizationType[kind]
    count = 0
    for tensor in reader.tensors:
        fits = int(tensor.shape[0]) % gguf.GGML_QUANT_SIZES[wanted][0] == 0
        data = gguf.quants.quantize(tensor.data, wanted) if fits else tensor.data
        writer.add_tensor(tensor.name, data, raw_dtype=wanted if fits else tensor.tensor_type)
        count += fits
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


@pytest.fixture(scope="module")
def in_f32(tiny: dict[str, Path], folder: Path) -> list[Path]:
    """The two files of the tiny model."""
    gemma = tiny["base"].parent / "gemma"
    return [convert(p, folder / f"{p.stem}.gguf", "f32") for p in (tiny["base"], gemma)]


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"])
def test_a_type_that_opens_computes_norms_biases_and_tables_too(
    in_f32: list[Path], tmp_path: Path, kind: str
) -> None:
    for path in in_f32:
        assert stored_as(kind, path, tmp_path / path.name) > 50
    picture = np.zeros((64, 64, 3), np.uint8)
    with ltx2.Session([tmp_path / path.name for path in in_f32], device="CPU") as session:
        video = session.i2v("a", picture, crf=0, width=64, height=64, frames=9, steps=1)
    assert video.latents is not None
    assert np.isfinite(video.latents).all()


@pytest.mark.parametrize("part", ltx2.capabilities()["parts"], ids=lambda part: part["id"])
def test_another_part_is_called_by_its_title(
    part: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    jobs.warn_of_parts("features", {part["id"]: "a"}, {part["id"]: "b"}, [part["id"]])
    assert caplog.messages == [
        f"features: made with another {part['title']}; the video will differ"
    ]
