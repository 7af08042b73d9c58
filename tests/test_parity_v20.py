"""LTX-2.0 against the official code, on its tiny checkpoint.

Its vocoder is test_parity_audio's `hifigan`, and its upsampler test_parity_upsampler's `rational2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import golden_text
import numpy as np
import pytest
from make_twins import DIT
from parity import golden, run
from safetensors_file import read_safetensors, write_safetensors
from test_parity_sound import NEGATIVE, PROMPT, compare, sounding, velocities
from tolerance import CLIPS, FEW_FRAMES_PSNR, NMSE, nmse, psnr, snr

import ltx2
from ltx2.convert import convert

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def files(tiny: dict[str, Path], folder: Path) -> list[Path]:
    """The model: what makes its video, then what makes the sound audible, then its text encoder."""
    return [*sounding("v20", tiny, folder), tiny["v20"].parent / "gemma"]


def test_video_and_sound_read_one_projection(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v20-text")
    for prefix, component in (("", "connector"), ("audio.", "audio-connector")):
        have = run(component, [tiny["v20"]], tmp_path / component, states=want["states"])
        error = nmse(have["context"], want[f"{prefix}context"])
        print(f"{component} {error:.2g}")
        assert error <= NMSE["connector", "F32"].limit


def test_velocities(tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden("v20-sound")
    have = velocities("v20", tiny, tmp_path)
    for passed in ("", "isolated."):
        compare(have, want, passed, passed)
    masks = {key: want[key] for key in ("mask", "audio.mask")}
    compare(velocities("v20", tiny, tmp_path / "i2v", **masks), want, "i2v.")


def test_video_alone(tiny: dict[str, Path], tmp_path: Path) -> None:
    """Is what it is where it does not look at its sound."""
    want = golden("v20-sound")
    inputs = {key: want[key] for key in ("latent", "context", "positions", "sigma")}
    have = run("dit", [tiny["v20"]], tmp_path, **inputs, mask=np.ones_like(want["mask"]))
    assert nmse(have["velocity"], want["isolated.velocity"]) <= NMSE["dit", "F32"].limit


@pytest.mark.parametrize("exact", ["0", "1"])  # both kernels of the convolutions
def test_the_vae(
    exact: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", exact)
    want, pixels = golden("v20-vae"), golden_text.clip(9, 64, 64)
    clip = run("vae-encode", [tiny["v20"]], tmp_path / "clip", pixels=pixels)
    image = run("vae-encode", [tiny["v20"]], tmp_path / "image", pixels=pixels[:1])
    frames = run("vae-decode", [tiny["v20"]], tmp_path / "decode", latent=want["decode.latent"])
    errors = {
        "clip.latent": nmse(clip["latent"], want["clip.latent"]),
        "image.latent": nmse(image["latent"], want["image.latent"]),
    }
    for have, half, prefix in ((clip, "encoder", "clip."), (frames, "decoder", "decode.")):
        for name in (n for n in want if n.startswith(prefix) and "latent" not in n):
            ours = have[f"vae.{half}.{name.removeprefix(prefix)}"].transpose(3, 0, 1, 2)
            errors[name] = nmse(ours[:, ::4, ::4, ::4], want[name])
    assert len(errors) == 9
    print(errors)
    for name, error in errors.items():
        half = "decoder" if name.startswith("decode") else "encoder"
        assert error <= NMSE[f"vae.{half}", "F32"].limit, name


def made(files: list[Path], **more: Any) -> ltx2.Video:
    with ltx2.Session(files, device="CPU", threads=1) as session:
        return session.t2v(PROMPT, negative_prompt=NEGATIVE, width=64, height=64, frames=9, **more)


def test_a_clip_with_its_sound(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTX2_EXACT", "1")
    want = golden("v20-clip")
    video = made(files, noise=want["noise"])
    assert video.audio is not None
    assert video.latents is not None
    error = nmse(video.latents, want["latents"])
    heard = nmse(video.audio[::16], want["sound.every16"])
    seen = psnr(video.frames[::8], want["frames"])
    print(f"latents {error:.2g}, sound {heard:.2g}, {seen:.1f} dB")
    assert error <= NMSE["latents.joint", "F32"].limit
    assert heard <= NMSE["clip.sound", "F32"].limit
    assert seen >= FEW_FRAMES_PSNR.limit
    assert video.sample_rate == 24000


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_converted_one_as_users_run_it(
    kind: str, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_EXACT", "0")
    want = golden("v20-clip")
    model = convert(files[:3], tmp_path / "v20.gguf", kind.lower())
    video = made([model, files[3]], noise=want["noise"])
    assert video.audio is not None
    assert video.latents is not None
    for what, measured in (
        ("frames", psnr(video.frames[::8], want["frames"])),
        ("latents", snr(video.latents, want["latents"])),
        ("sound", snr(video.audio[::16], want["sound.every16"])),
    ):
        print(f"{what} {measured:.1f} dB")
        assert measured >= CLIPS[what, kind].limit


def test_what_a_file_holds(files: list[Path], tmp_path: Path) -> None:
    """And what it makes where its sound was left out."""
    whole, video = (
        convert(files[:3], tmp_path / f"{audio}.gguf", "f32", audio=audio)
        for audio in (True, False)
    )
    about = ltx2.describe(whole)
    assert about["problem"] is None
    geometry = {part["id"]: part["geometry"] for part in about["parts"]}
    assert geometry["projection"] == {"width": 64, "inputs": 256}
    assert geometry["connector"] == geometry["audio_connector"]
    assert geometry["dit"] == {"blocks": 2, "width": 96, "channels": 8}
    assert geometry["vocoder"] == {"width": 64}
    kept = [part["id"] for part in ltx2.describe(video)["parts"]]
    assert kept == ["projection", "connector", "dit", "video_vae"]
    silent = made([video, files[3]], seed=7)
    assert silent.audio is None
    assert np.array_equal(silent.frames, made(files, seed=7, audio=False).frames)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (DIT + "caption_projection.linear_2.bias", "is missing"),
        (DIT + "caption_projection.linear_1.weight", "caption_proj_before_connector: false is not"),
        (DIT + "audio_caption_projection.linear_1.weight", "is missing"),
        (DIT + "adaln_single.linear.bias", "is missing"),
        ("text_embedding_projection.aggregate_embed.weight", "no text projection"),
    ],
)
def test_what_lacks_a_tensor_is_refused(
    name: str, words: str, files: list[Path], tmp_path: Path
) -> None:
    tensors, metadata = read_safetensors(files[0])
    del tensors[name]
    damaged = write_safetensors(tmp_path / "damaged.safetensors", tensors, metadata)
    with pytest.raises(ltx2.ModelError, match=words):
        ltx2.Session([damaged, *files[1:]], device="CPU", threads=1)
