"""LTX-2.5's transformer against the official code, on its tiny checkpoint."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tiny_gemma4
from make_twins import DIT
from parity import golden, run
from safetensors_file import read_safetensors, write_safetensors
from test_gemma4 import tokens
from test_parity_sound import PROMPT, compare, sounding, velocities
from tolerance import CLIPS, FEW_FRAMES_PSNR, NMSE, nmse, psnr, snr

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path

MARKER = DIT + "keyframes_abs_pos_embedding"


def test_velocities(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v25-sound")
    marks = {"single_frames": want["single_frames"]}
    have = velocities("v25", tiny, tmp_path, **marks)
    for passed in ("", "isolated."):
        compare(have, want, passed, passed)
    marks |= {key: want[key] for key in ("mask", "audio.mask")}
    compare(velocities("v25", tiny, tmp_path / "i2v", **marks), want, "i2v.")


def test_marks_matter(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v25-sound")
    have = velocities("v25", tiny, tmp_path)
    assert nmse(have["velocity"], want["velocity"]) > 100 * NMSE["dit", "F32"].limit


def made(files: list[Path], **more: Any) -> ltx2.Video:
    """Of features: the text encoder of LTX-2.5 is another one than the checkpoint's."""
    want = golden("v25-clip")
    text = ltx2.Features("a prompt", "another", want["features"], want["negative"])
    with ltx2.Session(files, device="CPU", threads=1) as session:
        return session.t2v(text, width=64, height=64, frames=9, noise=want["noise"], **more)


@pytest.fixture(scope="module")
def files(tiny: dict[str, Path], folder: Path) -> list[Path]:
    return sounding("v25", tiny, folder)


def test_a_clip(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    want = golden("v25-clip")
    video = made(files)
    assert video.latents is not None
    error, seen = nmse(video.latents, want["latents"]), psnr(video.frames[::8], want["frames"])
    print(f"latents {error:.2g}, {seen:.1f} dB")
    assert error <= NMSE["latents.joint", "F32"].limit
    assert seen >= FEW_FRAMES_PSNR.limit
    assert video.metadata["generation"] == "LTX-2.5"


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_converted_one_as_users_run_it(
    kind: str, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    want = golden("v25-clip")
    model = convert(files, tmp_path / "v25.gguf", kind.lower())
    assert ltx2.describe(model)["problem"] is None
    video = made([model])
    assert video.latents is not None
    for what, measured in (
        ("frames", psnr(video.frames[::8], want["frames"])),
        ("latents", snr(video.latents, want["latents"])),
    ):
        print(f"{what} {measured:.1f} dB")
        assert measured >= CLIPS[what, kind].limit


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (MARKER, lambda a: a[:, :-1], "keyframes_abs_pos_embedding"),
        (DIT + "transformer_blocks.1.audio_ff.net.2.bias", None, "is missing"),
    ],
)
def test_what_is_damaged_is_refused(
    name: str, change: Any, words: str, files: list[Path], tmp_path: Path
) -> None:
    tensors, metadata = read_safetensors(files[0])
    kind, values = tensors.pop(name)
    if change:
        tensors[name] = (kind, np.ascontiguousarray(change(values)))
    damaged = write_safetensors(tmp_path / "damaged.safetensors", tensors, metadata)
    with pytest.raises(ltx2.ModelError, match=words):
        ltx2.Session([damaged, *files[1:]], device="CPU", threads=1)


@pytest.fixture(scope="module")
def split(files: list[Path], folder: Path) -> list[Path]:
    """As LTX-2.5 is published: the text projections lie beside the text encoder."""
    tensors, metadata = read_safetensors(files[0])
    rest = {n: t for n, t in tensors.items() if not n.startswith("text_embedding_projection.")}
    return [
        write_safetensors(folder / "split.safetensors", rest, metadata),
        tiny_gemma4.generate("shared", folder / "gemma4", "file"),
        *files[1:],
    ]


def test_a_prompt_goes_all_the_way(split: list[Path], tmp_path: Path) -> None:
    """Through Gemma 4 and the projections of its file, and of a GGUF made of that."""
    with ltx2.Session(split, device="CPU", threads=1) as session:
        text = session.encode(PROMPT, guidance=1)
        video = session.t2v(text, width=64, height=64, frames=9, seed=3)
        told = session.t2v(PROMPT, width=64, height=64, frames=9, seed=3, guidance=1, audio=True)
    assert text.values.shape == (32, 64 + 32)
    assert video.audio is not None
    assert told.metadata["generation"] == "LTX-2.5"
    words = tiny_gemma4.generate("shared", tmp_path / "folder", "folder") / "tokenizer.json"
    ids = np.array(tokens(words, PROMPT, tmp_path, length=32), np.int32)
    states = run("text-encoder", [split[1]], tmp_path / "gemma", ids=ids)
    both = {"connector": text.values[:, :64], "audio-connector": text.values[:, 64:]}
    for component, want in both.items():
        have = run(component, split[:2], tmp_path / component, states=states["states"])["context"]
        assert nmse(have, np.ascontiguousarray(want)) < 1e-6, component
    gguf = convert([split[1]], tmp_path / "text.gguf", "f32")
    with ltx2.Session([split[0], gguf, *split[2:]], device="CPU", threads=1) as session:
        assert np.array_equal(session.encode(PROMPT, guidance=1).values, text.values)


def test_wrong_text_encoders(
    split: list[Path], files: list[Path], tiny: dict[str, Path], tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    for model, theirs, ours in (
        ([*files, tiny["v25"].parent / "gemma"], "LTX-2.0 or LTX-2.3", "LTX-2.5"),
        ([tiny["joint"], tiny_gemma4.generate("shared", tmp_path / "a", "folder")], "LTX-2.5",
         "LTX-2.3"),
    ):  # fmt: skip
        words = f"its text encoder is of {theirs}, and the diffusion transformer of .* of {ours};"
        with pytest.raises(ltx2.ModelError, match=words):
            ltx2.Session(model, device="CPU", threads=1)
    stock = tiny_gemma4.generate("shared", tmp_path / "b", "folder")
    with caplog.at_level(logging.WARNING, logger="ltx2"):
        ltx2.Session(split, device="CPU", threads=1).close()
        assert "Gemma 4" not in caplog.text
        ltx2.Session([*files, stock], device="CPU", threads=1).close()
    assert "nothing tells whether it is LTX-2.5's own Gemma 4" in caplog.text


def test_features_need_no_projection(split: list[Path], files: list[Path]) -> None:
    """Which lies with the text encoder: the sound is made all the same."""
    with ltx2.Session([split[0], *files[1:]], device="CPU", threads=1) as session:
        text = ltx2.Features("a", None, golden("v25-clip")["features"])
        video = session.t2v(text, width=64, height=64, frames=9, seed=3, guidance=1.0,
                            audio_guidance=1.0)  # fmt: skip
    assert video.audio is not None


def test_a_borrowed_config_is_of_the_same_generation(
    tiny: dict[str, Path], files: list[Path], tmp_path: Path
) -> None:
    """A transformer that states none has not that of a VAE of another generation beside it."""
    tensors, metadata = read_safetensors(files[0])
    vae = {n: t for n, t in tensors.items() if n.startswith("vae.")}
    rest = {n: t for n, t in tensors.items() if not n.startswith("vae.")}
    bare = {"model_version": "2.5.0"}
    old = json.loads(read_safetensors(tiny["joint"])[1]["config"])
    newer = json.loads(metadata["config"])
    stated = {"config": json.dumps({**old, "vae": newer["vae"]}), "model_version": "2.3.0"}
    model = [
        write_safetensors(tmp_path / "bare.safetensors", rest, bare),
        write_safetensors(tmp_path / "vae.safetensors", vae, stated),
    ]
    with pytest.raises(ltx2.ModelError, match=r"patchify_proj.weight has shape .* not \[4096"):
        ltx2.Session(model, device="CPU", threads=1)  # of the built-in sizes, not of the VAE's
