"""Pictures in, without a model."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, features

import ltx2
from ltx2.pictures import codec_round_trip, read_image


def picture(width: int = 48, height: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9)))


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    pixels = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "turned.png"), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "RGB"])
def test_what_is_transparent_lies_on_white(mode: str, tmp_path: Path) -> None:
    """Whatever colour hides below; half of it where it is half transparent."""
    grey = np.array([[10, 99, 200, 200]], np.uint8)
    alpha = np.array([[255, 0, 0, 128]], np.uint8)
    want = [10, 255, 255, 227]
    with_alpha = Image.fromarray(np.dstack([grey, grey, grey, alpha]))
    if mode in ("P", "RGB"):  # one colour of them is transparent
        image = Image.fromarray(grey if mode == "P" else np.dstack([grey] * 3))
        image.save(tmp_path / "a.png", transparency=200 if mode == "P" else (200,) * 3)
        want = [10, 99, 255, 255]
    elif mode == "PA":
        with_alpha.convert("PA").save(tmp_path / "a.tif")
        (tmp_path / "a.tif").rename(tmp_path / "a.png")
    else:
        with_alpha.convert(mode).save(tmp_path / "a.png")
    assert read_image(str(tmp_path / "a.png"))[0, :, 1].tolist() == want


NUMBERS: dict[str, tuple[NDArray[Any], list[int]]] = {
    "16 bits": (np.array([[0, 0x80FF, 0xFFFF]], np.uint16), [0, 128, 255]),
    "integers of 8 bits": (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
    "integers of 16 bits": (np.array([[0, 25700, 65535]], np.int32), [0, 100, 255]),
    "large integers": (np.array([[0, 10**9, 2 * 10**9]], np.int32), [0, 128, 255]),
    "negative integers": (np.array([[-100, 0, 300]], np.int32), [0, 64, 255]),
    "a mask": (np.array([[0, 1, 1]], np.int32), [0, 255, 255]),
    "floats to 1": (np.array([[0, 0.4, 0.5]], np.float32), [0, 102, 128]),
    "floats to 255": (np.array([[0, 1.2, 200]], np.float32), [0, 1, 200]),
    "negative floats": (np.array([[-1, 0, 3]], np.float32), [0, 64, 255]),
    "tiny floats": (np.array([[0, 0, 1e-30]], np.float32), [0, 0, 0]),
    "one value": (np.array([[-5, -5, -5]], np.float32), [0, 0, 0]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_more_than_eight_bits_are_scaled_not_clipped(name: str, tmp_path: Path) -> None:
    values, want = NUMBERS[name]
    Image.fromarray(values).save(tmp_path / "grey.tif")
    have = read_image(tmp_path / "grey.tif")
    assert have.tolist() == [[[value] * 3 for value in want]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "grey.tif")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"grey\.tif: .*not finite"):
        read_image(tmp_path / "grey.tif")


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBX"])
def test_every_kind_of_colour_is_read(mode: str) -> None:
    white = Image.new("RGB", (8, 8), (255, 255, 255))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(white, *profiles, outputMode="LAB")
    image = lab if mode == "LAB" else white.convert(mode)
    assert image is not None
    assert read_image(image).min() > 250


def test_a_colour_profile_is_followed_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = np.full((8, 8, 3), (200, 50, 20), np.uint8)
    Image.fromarray(plain).save(tmp_path / "srgb.png", icc_profile=swapped)
    assert np.array_equal(read_image(tmp_path / "srgb.png"), plain)
    # Red and green change places: the profile's tags point to each other's data.
    at = {name: swapped.index(name) for name in (b"rXYZ", b"gXYZ")}
    red, green = (swapped[at[name] + 4 : at[name] + 12] for name in (b"rXYZ", b"gXYZ"))
    data = bytearray(swapped.replace(b"s\0R\0G\0B", b"m\0i\0n\0e"))
    data[at[b"rXYZ"] + 4 : at[b"rXYZ"] + 12] = green
    data[at[b"gXYZ"] + 4 : at[b"gXYZ"] + 12] = red
    Image.fromarray(plain).save(tmp_path / "mine.png", icc_profile=bytes(data))
    few = Image.fromarray(plain).quantize(2)
    few.save(tmp_path / "few.png", icc_profile=bytes(data))
    for name in ("mine.png", "few.png"):
        have = read_image(tmp_path / name)[0, 0].tolist()
        assert np.abs(np.array(have) - (50, 200, 20)).max() <= 2, name
    Image.fromarray(plain).save(tmp_path / "bad.png", icc_profile=bytes(data[:300]))
    assert np.array_equal(read_image(tmp_path / "bad.png"), plain)


TURNED = (0x112, 3, 1, struct.pack("<H", 6))
ODD = {
    "a negative resolution": (0x11A, 10, 1, struct.pack("<ii", -1, 0)),
    "a date as a rational": (0x132, 5, 1, struct.pack("<II", 1, 0)),
    "a resolution as text": (0x11A, 2, 6, b"72/1\0\0"),
    "a width as text": (0x100, 2, 5, b"4032\0"),
    "an offset of all ones": (0x111, 4, 1, struct.pack("<I", 0xFFFFFFFF)),
    "a pointer out of the file": (0x8769, 4, 1, struct.pack("<I", 0xFFFFFFFF)),
    "a type that does not exist": (0x10F, 77, 3, b"abcd"),
    "a count of all ones": (0x10F, 2, 0xFFFFFFFF, b"abcd"),
}


def app1(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """A JPEG's EXIF segment with these entries."""
    at, body, tail = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        stored = value
        if len(value) > 4:
            stored, tail = struct.pack("<I", at + len(tail)), tail + value
        body += struct.pack("<HHI", tag, kind, count) + stored.ljust(4, b"\0")
    data = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + tail
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


@pytest.mark.parametrize("name", ODD)
def test_of_exif_only_the_orientation_matters(name: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 48), "navy")
    image.paste((255, 0, 0), (0, 0, 20, 10))
    plain = io.BytesIO()
    image.save(plain, "JPEG", quality=95)
    data = plain.getvalue()
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2] + app1(sorted([TURNED, ODD[name]])) + data[2:])
    pixels = read_image(path)
    assert pixels.shape == (64, 48, 3)
    assert pixels[2, 45, 0] > 150  # the red corner, now at the top right


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_turned_upright(turn: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    pixels = picture(5, 3)
    for name in ("a.png", "a.tif", "a.webp"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, lossless=True)
        want = ImageOps.exif_transpose(Image.open(tmp_path / name))
        assert np.array_equal(read_image(tmp_path / name), np.asarray(want)), name


@pytest.mark.parametrize(
    ("name", "size", "want"),
    [
        ("a.jpg", (12000, 9000), (6000, 4500)),
        ("a.jpg", (16320, 12240), (8160, 6120)),
        ("a.png", (8200, 8200), (4100, 4100)),
        ("a.png", (40000, 40), (13334, 14)),
        ("a.jpg", (40, 40000), (10, 10000)),
        ("a.png", (65536, 1), (16384, 1)),
    ],
)
def test_a_large_picture_is_read_at_a_fraction_of_its_size(
    name: str,
    size: tuple[int, int],
    want: tuple[int, int],
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    Image.new("L", size, 99).save(tmp_path / name)
    have = read_image(tmp_path / name)
    assert have.shape == (want[1], want[0], 3)
    assert np.abs(have[0, 0].astype(int) - 99).max() < 3
    assert not recwarn


def test_too_large_a_picture_is_refused_with_what_to_do(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))
    (tmp_path / "big.png").write_bytes(png)
    small = io.BytesIO()
    Image.new("L", (16, 16)).save(small, "JPEG")
    jpeg = small.getvalue().replace(struct.pack(">HH", 16, 16), struct.pack(">HH", 60000, 60000))
    (tmp_path / "big.jpg").write_bytes(jpeg)
    for name in ("big.png", "big.jpg"):
        with pytest.raises(ltx2.InvalidArgumentError, match=f"{name}: .*make it smaller"):
            read_image(tmp_path / name)


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert read_image(tmp_path / name)[0, 0, 0] > 240, name


@pytest.mark.parametrize(("brand", "kind"), [(b"heic", "HEIC"), (b"mif1", "HEIC")])
def test_a_format_that_is_not_read_says_what_to_do(brand: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(struct.pack(">I", 24) + b"ftyp" + brand + bytes(100))
    with pytest.raises(ltx2.InvalidArgumentError, match=f"photo.heic: is {kind}.* as JPEG or PNG"):
        read_image(tmp_path / "photo.heic")


def test_a_picture_that_is_a_program_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("it was run"))
    with pytest.raises(ltx2.InvalidArgumentError, match=r"a\.jpg: is EPS.* as JPEG or PNG"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (RuntimeError("two\nlines"), ltx2.InvalidArgumentError),
        (AssertionError(), ltx2.InvalidArgumentError),
        (NotImplementedError(), ltx2.InvalidArgumentError),
        (struct.error("unpack"), ltx2.InvalidArgumentError),
        (KeyError("x"), ltx2.InvalidArgumentError),
        (RecursionError(), ltx2.InvalidArgumentError),
        (MemoryError(), ltx2.OutOfMemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (SystemExit(), SystemExit),
    ],
)
def test_whatever_a_decoder_raises_is_one_line_that_names_the_file(
    raised: BaseException,
    becomes: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")

    def fails(*_: Any) -> None:
        warnings.warn("never seen", stacklevel=1)
        raise raised

    monkeypatch.setattr(Image.Image, "load", fails)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fails)
    with pytest.raises(becomes) as caught:
        read_image(tmp_path / "a.png")
    if issubclass(becomes, ltx2.Error):
        assert "a.png: " in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_no_damage_to_any_format_ends_in_anything_else(tmp_path: Path) -> None:
    """One changed byte, or the rest cut off, at points over the whole file."""
    random = np.random.default_rng(0)
    image = Image.fromarray(picture(40, 30))
    endings = ["png", "jpg", "gif", "webp", "tif", "bmp", "dds", "ppm", "tga", "ico", "pcx", "sgi"]
    endings += [
        name for name, part in (("jp2", "jpg_2000"), ("avif", "avif")) if features.check(part)
    ]
    refused = []
    for ending in endings:
        file = io.BytesIO()
        image.save(file, Image.registered_extensions()[f".{ending}"])
        for number in range(60):
            data = bytearray(file.getvalue())
            at = int(random.integers(len(data)) if number % 2 else random.integers(200))
            data[at % len(data)] ^= int(random.integers(1, 256))
            path = tmp_path / f"a.{ending}"
            path.write_bytes(data[: -at - 1] if number % 5 == 0 else data)
            try:
                assert read_image(path).shape[2] == 3
            except ltx2.InvalidArgumentError as error:
                refused.append((str(path), str(error)))
    assert len(refused) > 100
    for name, words in refused:
        assert name in words
        assert len(words.splitlines()) == 1


def test_an_image_is_taken_from_memory_too() -> None:
    pixels = picture()
    assert np.array_equal(read_image(Image.fromarray(pixels)), pixels)
    assert np.array_equal(read_image(pixels[:, ::-1]), pixels[:, ::-1])


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_an_array_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="height, width, 3"):
        read_image(np.zeros(shape, np.uint8))


def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"text\.png: not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ltx2.InvalidArgumentError, match="cannot be read"):
        read_image(tmp_path)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ltx2.InvalidArgumentError, match="cannot be read"):
        read_image(tmp_path / "half.png")


def through_a_file(pixels: NDArray[np.uint8], crf: int) -> NDArray[np.uint8]:
    """The step as the specification words it: an .mp4 of one frame, written and read."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", 1, {"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = pixels.shape[:2]
        frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as back:
        read: NDArray[Any] = next(back.decode(video=0)).to_ndarray(format="rgb24")
    return read


@pytest.mark.parametrize("crf", [18, 33])
def test_the_codec_step_is_one_frame_of_h264(crf: int) -> None:
    pixels = picture(50, 34)
    assert np.array_equal(codec_round_trip(pixels, crf), through_a_file(pixels, crf))


def test_what_the_codec_step_raises_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise av.error.ExternalError(542398533, "Generic error in an external library")

    monkeypatch.setattr(av.CodecContext, "create", fails)
    with pytest.raises(ltx2.InvalidArgumentError, match=r"image: .*Generic error"):
        codec_round_trip(picture(), 33)


def test_the_codec_step_crops_to_even_sizes_and_loses_detail() -> None:
    pixels = picture(51, 35)
    have = codec_round_trip(pixels, 33)
    assert have.shape == (34, 50, 3)
    assert 5 < psnr(have, pixels[:34, :50]) < 30


def test_crf_zero_skips_the_codec_step() -> None:
    pixels = picture(51, 35)
    assert codec_round_trip(pixels, 0) is pixels
    with pytest.raises(ltx2.InvalidArgumentError, match="crf: 52"):
        codec_round_trip(pixels, 52)


def test_a_skipped_codec_step_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    pixels = picture()
    with caplog.at_level(logging.WARNING, "ltx2"):
        assert codec_round_trip(pixels, 33) is pixels
    assert "not through H.264" in caplog.text
