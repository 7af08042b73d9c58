"""The video VAE against the official code, tap by tap, on the tiny checkpoints."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from parity import DEVICE, Arrays, golden, run
from tolerance import ISA, NMSE, OFF, nmse

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRIES = ["base", "odd", "plain"]
SMALL = ["heads", "deep", "bf16", "wide"]
OF_16_BITS = ("odd", "plain", "bf16")  # what their files hold


@pytest.fixture(params=["direct", "winograd"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both kernels of the convolutions."""
    monkeypatch.setenv("LTX2_EXACT", "1" if request.param == "direct" else "0")


def form(name: str) -> str:
    """Of Winograd's products: of 16-bit weights in tiles, or of integers, where there are such."""
    winograd = os.environ["LTX2_EXACT"] == "0"
    if not winograd or DEVICE != "CPU" or name not in OF_16_BITS:
        return "F32"
    tiles, integers = ISA == "amx", ISA in ("avxvnni", "avx512vnni", "avx512bf16")
    return "16 bits, tiles" if tiles else "16 bits, integers" if integers else "F32"


def limit_of(half: str, name: str) -> float:
    return NMSE[half, form(name)].limit


def off_limit(name: str) -> float:
    """Of the share of bytes that are one off: measured 1e-3 in tiles, 7.4e-3 as integers."""
    return {"F32": OFF.limit, "16 bits, tiles": 4e-3, "16 bits, integers": 3e-2}[form(name)]


def check(have: Arrays, want: Arrays, half: str, prefix: str, limit: float) -> int:
    """Every tap of the golden file that ours has, and how many there were."""
    names = [n for n in want if n.startswith(prefix) and ("blocks" in n or "conv_" in n)]
    for name in names:
        ours = have[f"vae.{half}.{name.removeprefix(prefix)}"].transpose(3, 0, 1, 2)
        error = nmse(ours, want[name])
        assert error <= limit, f"{name}: {error:.2g}"
    return len(names)


def test_a_picture_covers_the_target_and_is_cut_to_its_middle(tmp_path: Path) -> None:
    want = golden("all-image")
    sizes = [name for name in want if "." in name]
    assert len(sizes) == 9
    for name in sizes:
        picture, size = name.split(".")
        height, width = size.split("x")
        folder = tmp_path / name
        have = run("image", [], folder, picture=want[picture], height=height, width=width)
        assert abs(have["pixels"] - want[name]).max() <= 5e-7, name  # measured 2.4e-7


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", GEOMETRIES + SMALL)
def test_an_image_is_encoded(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want, limit = golden(f"{name}-vae"), limit_of("vae.encoder", name)
    have = run("vae-encode", [tiny[name]], tmp_path, pixels=want["clip"][:1])
    assert check(have, want, "encoder", "image.", limit) >= 8
    assert nmse(have["latent"], want["image.latent"]) <= limit


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", GEOMETRIES + SMALL)
def test_a_clip_is_encoded(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want, limit = golden(f"{name}-vae"), limit_of("vae.encoder", name)
    have = run("vae-encode", [tiny[name]], tmp_path, pixels=want["clip"])
    assert check(have, want, "encoder", "clip.", limit) == 1
    assert nmse(have["latent"], want["clip.latent"]) <= limit


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", GEOMETRIES + SMALL)
def test_latents_are_decoded(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want, limit = golden(f"{name}-vae"), limit_of("vae.decoder", name)
    have = run("vae-decode", [tiny[name]], tmp_path, latent=want["decode.latent"])
    assert check(have, want, "decoder", "decode.", limit) >= 8
    pixels = want.get("decode.pixels")
    if pixels is None:
        frames = ((want["decode.frames"] + 1) / 2).clip(0, 1) * 255
        pixels = frames.transpose(1, 2, 3, 0).astype(np.uint8)
    off = have["pixels"].astype(int) - pixels
    assert abs(off).max() <= 1
    assert (off != 0).mean() < off_limit(name)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", GEOMETRIES)
def test_pixels_are_the_reference_s(name: str, tiny: dict[str, Path], tmp_path: Path) -> None:
    want = golden(f"{name}-vae")
    have = run("vae-decode", [tiny[name]], tmp_path, latent=want["decode3.latent"])
    off = have["pixels"].astype(int) - want["decode3.pixels"]
    assert abs(off).max() <= 1
    assert (off != 0).mean() < off_limit(name)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("window", [1, 20000])
@pytest.mark.parametrize("half", ["encoder", "decoder"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_in_windows_as_whole_to_the_bit(
    name: str, half: str, window: int, tiny: dict[str, Path], tmp_path: Path
) -> None:
    channels = 48 if half == "encoder" else golden(f"{name}-vae")["decode.latent"].shape[0]
    shape = (25, 16, 16, channels) if half == "encoder" else (6, 2, 3, channels)
    patches = np.random.default_rng(3).standard_normal(shape, np.float32)
    out = [
        run(
            "vae-stream",
            [tiny[name]],
            tmp_path / str(size),
            patches=patches,
            half=half,
            window=size,
            taps=0,
        )["out"]
        for size in (0, window)
    ]
    assert out[0].shape[0] == (4 if half == "encoder" else 41)
    if DEVICE == "CPU":
        assert np.array_equal(out[0], out[1])
    else:  # a product of few rows may take another program there
        error = nmse(out[1], out[0])
        print(error)
        assert error <= NMSE["vae.windows", "F32"].limit


@pytest.mark.parametrize("name", GEOMETRIES)
def test_ggml_s_own_operations_give_the_same(
    name: str, tiny: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    want, limit = golden(f"{name}-vae"), NMSE["vae.decoder", "F32"].limit
    have = run("vae-decode", [tiny[name]], tmp_path, latent=want["decode.latent"])
    check(have, want, "decoder", "decode.", limit)
    have = run("vae-encode", [tiny[name]], tmp_path, pixels=want["clip"])
    check(have, want, "encoder", "clip.", limit)
    have = run(
        "vae-decode", [tiny[name]], tmp_path, latent=want["decode3.latent"], taps=0, window=1
    )
    assert abs(have["pixels"].astype(int) - want["decode3.pixels"]).max() <= 1


def to_f16(model: Path, out: Path) -> Path:
    """The same F32 checkpoint with its VAE's weights rounded to F16."""
    data = model.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    body, metadata = bytearray(), header.pop("__metadata__")
    for name, info in list(header.items()):
        first, last = (8 + length + at for at in info.pop("data_offsets"))
        if not name.startswith("vae."):
            del header[name]
            continue
        values = np.frombuffer(data[first:last], "<f4").astype("<f2").tobytes()
        info |= {"dtype": "F16", "data_offsets": [len(body), len(body) + len(values)]}
        body += values
    text = json.dumps({"__metadata__": metadata, **header}).encode()
    out.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return out


def test_f16_weights_cost_little(tiny: dict[str, Path], tmp_path: Path) -> None:
    want, model = golden("base-vae"), to_f16(tiny["base"], tmp_path / "half.safetensors")
    have = run("vae-decode", [model], tmp_path, latent=want["decode.latent"])
    check(have, want, "decoder", "decode.", NMSE["vae.decoder", "F16"].limit)
    have = run("vae-encode", [model], tmp_path, pixels=want["clip"])
    check(have, want, "encoder", "clip.", NMSE["vae.encoder", "F16"].limit)
