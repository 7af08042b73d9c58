"""Sound against the official code, on tiny audio VAEs and vocoders with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import make_tiny
import numpy as np
import pytest
import tiny_sound
from log_mel import log_mel
from numpy.typing import NDArray
from parity import golden, run
from safetensors_file import write_safetensors
from tolerance import NMSE, nmse

import ltx2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tiny_shapes import Shapes

Array = NDArray[Any]


def written(
    name: str, shapes: Shapes, path: Path, group: str, config: object, dtype: str = "F32",
    change: Callable[[dict[str, Any]], None] = lambda _tensors: None,
) -> Path:  # fmt: skip
    """A file with the tiny weights of a part."""
    tensors: dict[str, Any] = {}
    for full, shape in shapes.items():
        values = make_tiny.tensor(name, full, shape)
        if dtype == "BF16":
            values = (values.view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)).view(
                "<f4"
            )
        tensors[full] = (dtype if len(shape) > 1 else "F32", values)
    change(tensors)
    return write_safetensors(path, tensors, {"config": json.dumps({group: config})})


def audio_vae(name: str, path: Path, **more: Any) -> Path:
    config = tiny_sound.AUDIO_VAES[name]
    return written(name, tiny_sound.audio_vae(config), path, "audio_vae", config, **more)


def vocoder(name: str, path: Path, **more: Any) -> Path:
    config = tiny_sound.VOCODERS[name]
    return written(name, tiny_sound.vocoder(config), path, "vocoder", config, **more)


def near(have: Array, want: Array, *row: str) -> None:
    error = nmse(have, want)
    print(row, error)
    assert error <= NMSE[row].limit  # type: ignore[index]


# ---- the audio VAE


@pytest.mark.parametrize("name", tiny_sound.AUDIO_VAES)
def test_latents_become_the_official_spectrogram(name: str, tmp_path: Path) -> None:
    want, model = golden("all-sound"), audio_vae(name, tmp_path / "vae.safetensors")
    for count in (1, 2, 11):
        have = run("audio-decode", [model], tmp_path, latent=want[f"{name}.latent.{count}"])
        near(have["mel"], want[f"{name}.decoded.{count}"], "audio_vae.decoder", "F32")


@pytest.mark.parametrize("name", tiny_sound.AUDIO_VAES)
def test_a_spectrogram_becomes_the_official_latents(name: str, tmp_path: Path) -> None:
    want, model = golden("all-sound"), audio_vae(name, tmp_path / "vae.safetensors")
    for count in (1, 6, 31):
        have = run("audio-encode", [model], tmp_path, mel=want[f"{name}.mel.{count}"])
        near(have["latent"], want[f"{name}.encoded.{count}"], "audio_vae.encoder", "F32")


def test_other_types_and_ggml_s_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    want = golden("all-sound")
    latent, mel = want["sound.latent.11"], want["sound.mel.31"]
    for dtype in ("F16", "BF16"):
        model = audio_vae("sound", tmp_path / f"{dtype}.safetensors", dtype=dtype)
        have = run("audio-decode", [model], tmp_path, latent=latent)["mel"]
        near(have, want["sound.decoded.11"], "audio_vae.decoder", dtype)
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    model = audio_vae("sound", tmp_path / "vae.safetensors")
    have = run("audio-decode", [model], tmp_path, latent=latent)["mel"]
    near(have, want["sound.decoded.11"], "audio_vae.decoder", "F32")
    have = run("audio-encode", [model], tmp_path, mel=mel)["latent"]
    near(have, want["sound.encoded.31"], "audio_vae.encoder", "F32")


@pytest.mark.parametrize("name", tiny_sound.AUDIO_VAES)
def test_windows_of_latents_change_no_bit(name: str, tmp_path: Path) -> None:
    model = audio_vae(name, tmp_path / "vae.safetensors")
    channels = tiny_sound.AUDIO_VAES[name]["model"]["params"]["ddconfig"]["z_channels"]
    latent = make_tiny.normal("test", "latent", (channels, 90, 16))
    mel = make_tiny.normal("test", "mel", (2, 359, 64))
    whole = run("audio-decode", [model], tmp_path, latent=latent)["mel"]
    pieces = run("audio-decode", [model], tmp_path, latent=latent, window=20)["mel"]
    assert pieces.tobytes() == whole.tobytes()
    whole = run("audio-encode", [model], tmp_path, mel=mel)["latent"]
    pieces = run("audio-encode", [model], tmp_path, mel=mel, window=20)["latent"]
    assert pieces.tobytes() == whole.tobytes()


# ---- vocoders


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize("name", tiny_sound.VOCODERS)
def test_a_spectrogram_becomes_the_official_sound(name: str, count: int, tmp_path: Path) -> None:
    want, model = golden("all-sound"), vocoder(name, tmp_path / "vocoder.safetensors")
    have = run("vocode", [model], tmp_path, mel=want[f"{name}.spectrogram.{count}"])
    near(have["sound"].T, want[f"{name}.sound.{count}"], "vocoder", "F32")
    assert have["rate"] == {"sound": 48000, "odd": 24000, "hifigan": 24000}[name]


@pytest.mark.parametrize("name", ["sound", "odd"])
def test_the_first_generator_alone(name: str, tmp_path: Path) -> None:
    """In a file of its own it is a vocoder without an extension."""
    want, config = golden("all-sound"), tiny_sound.VOCODERS[name]["vocoder"]
    tensors = {
        full.replace("vocoder.vocoder.", "vocoder."): ("F32", make_tiny.tensor(name, full, shape))
        for full, shape in tiny_sound.vocoder(tiny_sound.VOCODERS[name]).items()
        if full.startswith("vocoder.vocoder.")
    }
    metadata = {"config": json.dumps({"vocoder": config})}
    model = write_safetensors(tmp_path / "first.safetensors", tensors, metadata)
    have = run("vocode", [model], tmp_path, mel=want[f"{name}.spectrogram.12"])["sound"]
    near(have.T, want[f"{name}.first.12"], "generator", "F32")


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_weights_of_16_bits_cost_little(dtype: str, tmp_path: Path) -> None:
    want = golden("all-sound")
    for name in tiny_sound.VOCODERS:
        model = vocoder(name, tmp_path / f"{name}.safetensors", dtype=dtype)
        have = run("vocode", [model], tmp_path, mel=want[f"{name}.spectrogram.12"])["sound"]
        near(have.T, want[f"{name}.sound.12"], "vocoder", dtype)


def test_windows_of_frames_change_no_bit(tmp_path: Path) -> None:
    for name in tiny_sound.VOCODERS:
        model = vocoder(name, tmp_path / f"{name}.safetensors")
        mel = make_tiny.normal("test", "mel", (2, 150, 64))
        whole = run("vocode", [model], tmp_path, mel=mel)["sound"]
        pieces = run("vocode", [model], tmp_path, mel=mel, window=40, threads=2)["sound"]
        assert pieces.tobytes() == whole.tobytes(), name


# ---- samples -> spectrogram


def resampled(x: Array, old: int, new: int) -> Array:
    """As torchaudio's default: two zeros of sinc for each tap that its window lets pass."""
    common = np.gcd(old, new)
    old, new = old // common, new // common
    band = 0.99 * min(old, new)
    width = int(np.ceil(6 * old / band))
    t = np.arange(-width, width + old)[None] / old - np.arange(new)[:, None] / new
    t = np.clip(t * band, -6, 6)
    kernel = np.sinc(t) * np.cos(np.pi * t / 12) ** 2 * band / old
    padded = np.pad(x.astype(np.float64), (width, width + old))
    places = range(0, len(padded) - 2 * width - old + 1, old)
    out = np.concatenate([kernel @ padded[i : i + 2 * width + old] for i in places])
    return out[: -(-len(x) * new // old)].astype(np.float32)


@pytest.mark.parametrize("rate", [16000, 44100, 48000, 22050, 8000, 11025, 32000, 96000, 37800])
def test_the_spectrogram_of_any_rate(rate: int, tmp_path: Path) -> None:
    sound = make_tiny.normal("test", f"sound {rate}", (rate // 8 + 3, 2)) * np.float32(0.2)
    have = run("mel", [tmp_path], tmp_path, sound=sound, rate=rate)["mel"]
    low = [resampled(sound[:, c], rate, 16000) if rate != 16000 else sound[:, c] for c in (0, 1)]
    near(have, np.stack([log_mel(x) for x in low]), "mel", "F32")


def test_the_spectrogram_of_a_tone(tmp_path: Path) -> None:
    """Values of the official code's, printed to five digits."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    have = run("mel", [tmp_path], tmp_path, sound=tone.astype(np.float32)[:, None], rate=16000)
    mel = have["mel"]
    assert mel.shape == (2, 101, 64)
    assert mel[0].tobytes() == mel[1].tobytes()  # of one channel
    assert np.allclose(mel[0, 50, [20, 21]], [0.92448, 1.04108], atol=1e-5)
    assert np.allclose(mel[0, 50, [22, 40, 63]], -11.51293, atol=2e-5)
    want = [-1.82459, -1.52028, 1.11567, 0.24322, -0.42452, -3.43646, -5.05051]
    assert np.allclose(mel[0, 0, [0, 10, 21, 22, 23, 40, 63]], want, atol=2e-5)


def test_of_many_channels_the_first_two(tmp_path: Path) -> None:
    sound = make_tiny.normal("test", "surround", (3000, 6))
    six = run("mel", [tmp_path], tmp_path, sound=sound, rate=48000)["mel"]
    two = run("mel", [tmp_path], tmp_path, sound=sound[:, :2], rate=48000)["mel"]
    assert six.tobytes() == two.tobytes()


def impulse(length: int, at: int) -> Array:
    x = np.zeros((length, 2), np.float32)
    x[at] = [1, -1]
    return x


def test_the_filters_of_resampling(tmp_path: Path) -> None:
    def row(start: int, old: int, new: int, x: Array, copies: int = 0) -> Array:
        options = {"from": old, "to": new, "copies": copies}
        out = run("resample", [tmp_path], tmp_path, sound=x, **options)["sound"]
        assert np.array_equal(out[:, 1], -out[:, 0])
        return out[start:, 0]

    # 48 to 16 kHz: every third tap
    assert np.allclose(row(10, 48000, 16000, impulse(60, 30))[:2], [0.33, 0.0031139], atol=1e-6)
    assert np.allclose(row(10, 48000, 16000, impulse(60, 29))[:1], 0.2719428, atol=1e-6)
    assert np.allclose(row(10, 48000, 16000, impulse(60, 28))[:1], 0.1353459, atol=1e-6)
    # 16 to 48 kHz: three times these, and copies of the ends outside
    up = [0.33, 0.271942735, 0.135345951, 0.003113866, -0.059479956, -0.04678103]
    have = row(30, 16000, 48000, impulse(21, 10), copies=1)[:6]
    assert np.allclose(have, np.array(up) * 3, atol=1e-6)
    ones = np.ones((40, 2), np.float32) * [1, -1]
    level = row(0, 16000, 48000, ones.astype(np.float32), copies=1)
    assert np.allclose(level, 1.00046587, atol=2e-3)
    assert len(level) == 120


# ---- files


def test_parts_of_sound_are_told(tmp_path: Path) -> None:
    about = ltx2.describe(audio_vae("sound", tmp_path / "a.safetensors"))
    assert about["problem"] is None
    assert [(p["id"], p["geometry"]) for p in about["parts"]] == [
        ("audio_vae", {"width": 8, "channels": 128})
    ]
    for name, geometry in {
        "sound": {"width": 64, "extension": 64}, "hifigan": {"width": 64},
    }.items():  # fmt: skip
        about = ltx2.describe(vocoder(name, tmp_path / "v.safetensors"))
        assert about["problem"] is None
        assert [(p["id"], p["geometry"]) for p in about["parts"]] == [("vocoder", geometry)]


def test_names_without_a_prefix_are_known(tmp_path: Path) -> None:
    def bare(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("audio_vae.")] = tensors.pop(name)

    model = audio_vae("odd", tmp_path / "a.safetensors", change=bare)
    want = golden("all-sound")
    have = run("audio-decode", [model], tmp_path, latent=want["odd.latent.2"])["mel"]
    near(have, want["odd.decoded.2"], "audio_vae.decoder", "F32")


DAMAGE: dict[str, Callable[[dict[str, Any], str], object]] = {
    "missing": lambda t, name: t.pop(name),
    "has shape": lambda t, name: t.update({name: ("F32", np.zeros((2, 2), np.float32))}),
    "I32": lambda t, name: t.update({name: ("I32", t[name][1].astype(np.int32))}),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_what_is_damaged_is_named(how: str, tmp_path: Path) -> None:
    want = golden("all-sound")
    mel, latent = want["sound.spectrogram.1"], want["sound.latent.1"]
    parts: dict[str, tuple[Callable[..., Path], dict[str, Any], list[str]]] = {
        "audio-decode": (audio_vae, {"latent": latent}, [
            "audio_vae.decoder.up.1.upsample.conv.conv.weight",
            "audio_vae.per_channel_statistics.std-of-means"]),
        "audio-encode": (audio_vae, {"mel": mel}, [
            "audio_vae.encoder.down.0.downsample.conv.bias",
            "audio_vae.encoder.down.1.block.0.nin_shortcut.conv.weight"]),
        "vocode": (vocoder, {"mel": mel}, [
            "vocoder.vocoder.resblocks.4.acts1.2.act.beta",
            "vocoder.bwe_generator.ups.3.weight",
            "vocoder.mel_stft.stft_fn.forward_basis"]),
    }  # fmt: skip
    for component, (make, inputs, names) in parts.items():
        for name in names:
            model = make(
                "sound",
                tmp_path / "x.safetensors",
                change=lambda t, name=name: DAMAGE[how](t, name),
            )
            with pytest.raises(pytest.fail.Exception) as caught:
                run(component, [model], tmp_path, **inputs)
            assert name in str(caught.value)
            assert how in str(caught.value)


@pytest.mark.parametrize(
    ("group", "path", "value", "words"),
    [
        ("audio_vae", "model.params.ddconfig.norm_type", "group", "norm_type: \"group\" is not"),
        ("audio_vae", "model.params.ddconfig.mel_bins", 80, "mel_bins: 80 is not supported; 64 is"),
        ("audio_vae", "model.params.ddconfig.ch_mult", [1, 2], "ch_mult: has 2 values; 3 are"),
        ("audio_vae", "model.params.ddconfig.ch", 10**9, "ch: 1000000000 is not in"),
        ("audio_vae", "model.params.sampling_rate", 8000, "sampling_rate: 8000 is not supported"),
        ("vocoder", "vocoder.resblock", "2", "resblock: \"2\" is not supported; 1 is"),
        ("vocoder", "vocoder.activation", "snake", "activation: \"snake\" is not supported"),
        ("vocoder", "bwe.upsample_rates", [6, 5, 2, 2, 3], "does not fit a rate of 3"),
        ("vocoder", "bwe.hop_length", 81, "upsample_rates: 240 samples for 81 at 16000 Hz"),
        ("vocoder", "vocoder.upsample_rates", [64] * 6, "does not fit a rate of 64"),
        ("vocoder", "vocoder.resblock_dilation_sizes", [[1, 3, 5]], "has 1 rows, not 3"),
        ("vocoder", "bwe", None, "bwe: is missing"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused_by_name(
    group: str, path: str, value: object, words: str, tmp_path: Path
) -> None:
    tables = {"audio_vae": tiny_sound.AUDIO_VAES, "vocoder": tiny_sound.VOCODERS}
    config = json.loads(json.dumps(tables[group]["sound"]))
    *inner, last = path.split(".")
    place = config
    for key in inner:
        place = place[key]
    place[last] = value
    shapes = {"audio_vae": tiny_sound.audio_vae, "vocoder": tiny_sound.vocoder}[group]
    model = written(
        "sound", shapes(tables[group]["sound"]), tmp_path / "x.safetensors", group, config
    )
    component, array, name = {
        "audio_vae": ("audio-decode", "latent", "sound.latent.1"),
        "vocoder": ("vocode", "mel", "sound.spectrogram.1"),
    }[group]
    with pytest.raises(pytest.fail.Exception) as caught:
        run(component, [model], tmp_path, **{array: golden("all-sound")[name]})
    assert words in str(caught.value)
    assert str(model) in str(caught.value)


def test_attention_is_refused(tmp_path: Path) -> None:
    def add(tensors: dict[str, Any]) -> None:
        values = np.zeros((8, 8, 1, 1), np.float32)
        tensors["audio_vae.decoder.mid.attn_1.q.weight"] = ("F32", values)

    model = audio_vae("sound", tmp_path / "x.safetensors", change=add)
    with pytest.raises(
        pytest.fail.Exception, match=r"attn_1\.q\.weight.*: attention in an audio VAE"
    ):
        run("audio-decode", [model], tmp_path, latent=golden("all-sound")["sound.latent.1"])
