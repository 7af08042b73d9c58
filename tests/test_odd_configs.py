"""What a file may state within bounds and none was seen to state; each is computed, or refused."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import test_parity_audio
import tiny_gemma4
import tiny_sound
from parity import golden
from safetensors_file import read_safetensors, write_safetensors
from test_parity_duration import head
from test_parity_sound import FILES, sounding

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 1, "seed": 1}


def written(path: Path, like: Path, change: Any) -> Path:
    """The same checkpoint after change(tensors, config)."""
    tensors, metadata = read_safetensors(like)
    config = json.loads(metadata["config"])
    change(tensors, config)
    return write_safetensors(path, tensors, {**metadata, "config": json.dumps(config)})


def test_one_register_for_many_rows(tiny: dict[str, Path], tmp_path: Path) -> None:
    """1024 runs of it, more nodes than any graph of a released model has."""

    def change(tensors: Any, config: Any) -> None:
        for name in tensors:
            if name.endswith("learnable_registers"):
                kind, values = tensors[name]
                tensors[name] = (kind, values[:1])
        config["transformer"]["connector_text_length"] = 1024
        config["transformer"].pop("connector_num_learnable_registers", None)

    model = written(tmp_path / "one.safetensors", tiny["base"], change)
    with ltx2.Session([model, tiny["base"].parent / "gemma"], device="CPU", threads=1) as session:
        assert session.encode("a red circle").values.shape[0] == 1024


def test_a_vocoder_of_many_kernels(tiny: dict[str, Path], tmp_path: Path) -> None:
    def change(tensors: Any, config: Any) -> None:
        vocoder = config["vocoder"]
        vocoder["vocoder"].update(
            resblock_kernel_sizes=[3] * 16, resblock_dilation_sizes=[[1] * 16] * 16
        )
        tensors.clear()
        for name, shape in tiny_sound.vocoder(vocoder).items():
            tensors[name] = ("F32", np.zeros(shape, np.float32))

    like = test_parity_audio.vocoder(FILES["v25"][1], tmp_path / "like.safetensors")
    model = written(tmp_path / "many.safetensors", like, change)
    files = sounding("v25", tiny, tmp_path)
    want = golden("v25-clip")
    text = ltx2.Features("a", "another", want["features"], want["negative"])
    with ltx2.Session([*files[:2], model], device="CPU", threads=1) as session:
        video = session.t2v(text, **SMALL)
    assert video.audio is not None
    assert not video.audio.any()


def test_the_duration_head_s_config_is_not_the_transformer_s(
    tiny: dict[str, Path], tmp_path: Path
) -> None:
    """The official head's file states two sizes of it, and no more."""
    stub = {
        "transformer": {"cross_attention_dim": 64, "audio_cross_attention_dim": 32},
        "duration_head": {},
    }
    stated = {"config": json.dumps(stub), "model_version": "2.5.0"}
    tensors, metadata = read_safetensors(tiny["v25"])
    vae = {n: t for n, t in tensors.items() if n.startswith("vae.")}
    rest = {n: t for n, t in tensors.items() if not n.startswith("vae.")}
    bare = write_safetensors(tmp_path / "bare.safetensors", rest, {"model_version": "2.5.0"})
    told = write_safetensors(tmp_path / "head.safetensors", head(), stated)
    files = [
        write_safetensors(tmp_path / "video.safetensors", vae, metadata),
        *sounding("v25", tiny, tmp_path)[1:],
    ]
    for order in ([bare, told, *files], [told, *files, bare]):
        ltx2.Session(order, device="CPU", threads=1).close()
    both = convert([told, bare], tmp_path / "both.gguf", "f32")
    assert ltx2.describe(both)["metadata"]["config"]["length"] > 1000  # the usual one
    alone = convert(told, tmp_path / "head.gguf", "f32")
    assert ltx2.describe(alone)["problem"] is None


def test_the_encoder_that_a_transformer_was_trained_with(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = json.dumps({"ltx_version": "2.5.0", "gemma_version": "gemma4-12b-ltx-v1"})
    tensors, metadata = read_safetensors(tiny["v25"])
    stating = {**metadata, "gemma_source_checkpoint": wanted}
    model = [
        write_safetensors(tmp_path / "dit.safetensors", tensors, stating),
        *sounding("v25", tiny, tmp_path)[1:],
    ]
    text = tiny_gemma4.generate("shared", tmp_path / "text", "file")
    own, said = read_safetensors(text)
    names = {n: t for n, t in own.items() if not n.startswith("text_embedding_projection.")}

    def of(version: str) -> Path:
        config = copy.deepcopy(json.loads(said["gemma_config"]))
        config["gemma_version"] = version
        path = tmp_path / f"{version}.safetensors"
        return write_safetensors(path, names, {**said, "gemma_config": json.dumps(config)})

    right, other = of("gemma4-12b-ltx-v1"), of("gemma4-12b-ltx-v2")
    kept = convert(other, tmp_path / "other.gguf", "f32")
    ltx2.Session([*model, right], device="CPU", threads=1).close()
    assert "Gemma 4" not in caplog.text
    for wrong in (other, kept):
        words = r'is the text encoder "gemma4-12b-ltx-v2", .* was trained with "gemma4-12b-ltx-v1"'
        with pytest.raises(ltx2.ModelError, match=words):
            ltx2.Session([*model, wrong], device="CPU", threads=1)


def test_writing_with_an_encoder_that_was_trained_further_is_warned_of(
    tiny: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = [*sounding("v25", tiny, tmp_path), tiny_gemma4.generate("shared", tmp_path, "folder")]
    with ltx2.Session(model, device="CPU", threads=1) as session:
        session.enhance("a red circle", tokens=1)
    assert "LTX-2.5's own Gemma 4 was trained further to be read" in caplog.text


def test_which_generations_a_part_can_be_of(tiny: dict[str, Path]) -> None:
    for name, want in (("v20", ["LTX-2.0"]), ("base", ["LTX-2.3"]), ("v25", ["LTX-2.5"])):
        parts = {part["id"]: part for part in ltx2.describe(tiny[name])["parts"]}
        assert parts["dit"]["generations"] == want, name


def test_a_broken_repository_in_a_folder_is_skipped(tiny: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "models--a--b"
    (broken / "refs").mkdir(parents=True)
    (broken / "snapshots").mkdir()
    (broken / "refs" / "main").write_text("0123abc")
    (tmp_path / "model.safetensors").symlink_to(tiny["base"])
    (tmp_path / "gemma").symlink_to(tiny["base"].parent / "gemma")
    ltx2.Session(tmp_path, device="CPU", threads=1).close()
    with pytest.raises(ltx2.ModelError, match="the snapshot that refs/main names is not there"):
        ltx2.Session(broken, device="CPU", threads=1)
