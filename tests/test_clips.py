"""Videos in: which frames of a file are taken, and what an upsampler makes of them."""

from __future__ import annotations

import logging
import threading
import wave
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from golden_text import clip
from PIL import Image
from test_parity_upsampler import written
from tolerance import psnr

import ltx2
from ltx2 import cli, clips, pictures, sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAMES = clip(9, 64, 96)


@pytest.mark.parametrize(("ending", "least"), [("mp4", 24), ("webp", 24), ("gif", 20), ("png", 99)])
def test_what_was_saved_is_read(ending: str, least: float, tmp_path: Path) -> None:
    path = tmp_path / f"clip.{ending}"
    ltx2.Video(FRAMES, 20.0).save(path)
    frames, fps = clips.read(path)
    assert fps == pytest.approx(24.0 if ending == "png" else 20.0)
    assert frames.shape == FRAMES.shape
    assert min(psnr(frames, FRAMES), 99) >= least


def test_the_rate_is_what_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    ltx2.Video(clip(33, 64, 64), 24.0).save(path)
    whole, _ = clips.read(path)
    half, fps = clips.read(path, 12)
    twice, _ = clips.read(path, 48)
    assert fps == 12
    assert (half == whole[::2]).all()
    assert (twice == whole.repeat(2, 0)[:65]).all()


def test_frames_are_shown_when_they_begin_and_as_long_as_they_last() -> None:
    marks = [np.full((1, 1, 3), i, np.uint8) for i in range(3)]
    shown = clips._at_rate([(0.0, 0.1, marks[0]), (0.1, 0.3, marks[1]), (0.4, 0.2, marks[2])], 10)
    assert [int(picture[0, 0, 0]) for picture in shown] == [0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((0, 1, -1, 0, 64, 0), lambda x: np.rot90(x, -1, (1, 2))),
        ((-1, 0, 0, -1, 96, 64), lambda x: x[:, ::-1, ::-1]),
        ((-1, 0, 0, 1, 96, 0), lambda x: x[:, :, ::-1]),
        ((1, 0, 0, -1, 0, 64), lambda x: x[:, ::-1]),
        ((0, 1, 1, 0, 0, 0), lambda x: x.swapaxes(1, 2)),
    ],
)
def test_a_turned_or_mirrored_video_is_upright(matrix: Any, upright: Any, tmp_path: Path) -> None:
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    ltx2.Video(FRAMES, 24.0).save(plain)
    data = plain.read_bytes()

    def stored(a: int, b: int, c: int, d: int, x: int, y: int) -> bytes:
        numbers = (a << 16, b << 16, 0, c << 16, d << 16, 0, x << 16, y << 16, 1 << 30)
        return b"".join(n.to_bytes(4, "big", signed=True) for n in numbers)

    usual = stored(1, 0, 0, 1, 0, 0)
    at = data.index(usual, data.index(b"tkhd"))  # of the track, and not of the whole file
    turned.write_bytes(data[:at] + stored(*matrix) + data[at + len(usual) :])
    assert np.array_equal(clips.read(turned)[0], upright(clips.read(plain)[0]))


@pytest.mark.parametrize(
    ("aspect", "size"), [("2/1", (64, 192)), ("1/2", (128, 96)), ("1000/1001", (64, 96))]
)
def test_pixels_become_square(aspect: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=24, width=96, height=64, pix_fmt="yuv420p")
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for picture in FRAMES:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode(None))
    frames, _ = clips.read(path)
    assert frames.shape == (9, *size, 3)
    small = [np.asarray(Image.fromarray(picture).resize((96, 64))) for picture in frames]
    assert psnr(np.stack(small), FRAMES) > 24


def test_pictures_are_read_while_a_video_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ltx2.Video(FRAMES, 24.0).save(tmp_path / "clip.mp4")
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.png")
    at_rate, read = clips._at_rate, []

    def meanwhile(*arguments: Any) -> Iterator[Any]:
        thread = threading.Thread(
            target=lambda: read.append(pictures.read_image(tmp_path / "a.png")), daemon=True
        )
        thread.start()
        thread.join(60)
        return at_rate(*arguments)

    monkeypatch.setattr(clips, "_at_rate", meanwhile)
    assert len(clips.read(tmp_path / "clip.mp4")[0]) == 9
    assert len(read) == 1


def test_what_does_not_fit_is_cut_and_said(caplog: pytest.LogCaptureFixture) -> None:
    whole = clip(12, 70, 100)
    with caplog.at_level(logging.WARNING, "ltx2"):
        cut = clips.whole(whole, "mine")
    assert (cut == whole[:9, 3:67, 2:98]).all()
    assert "mine: 12 frames of 100x70 are cut to 9 of 96x64" in caplog.text
    with pytest.raises(ltx2.InvalidArgumentError, match="mine: 96x20 is below 32x32"):
        clips.whole(FRAMES[:, :20], "mine")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"float64 of 9x64x96x3 is not"):
        clips.whole(FRAMES.astype(float), "mine")


@pytest.mark.parametrize("ending", ["gif", "webp", "apng", "mkv", "mp4"])
@pytest.mark.parametrize("fps", [8.0, 24.0, 30.0])
def test_the_rate_is_that_of_most_frames(fps: float, ending: str, tmp_path: Path) -> None:
    """Times are rounded, and the frames of a part that stands still become one."""
    moving = np.zeros((33, 32, 32, 3), np.uint8)
    moving[:, :16] = np.minimum(np.arange(33), 20)[:, None, None, None] * 10
    ltx2.Video(moving, fps).save(tmp_path / f"clip.{ending}")
    frames, rate = clips.frames(tmp_path / f"clip.{ending}")
    assert rate == fps
    assert len(frames) == 33
    seen = frames[:, 4, 4, 0].astype(int)
    assert np.abs(seen - moving[:, 4, 4, 0]).max() <= 4


def varying(path: Path, times: list[float]) -> None:
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), i, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_frames_that_last_long_do_not_make_the_others_last_longer(tmp_path: Path) -> None:
    varying(tmp_path / "clip.mp4", [*(i / 30 for i in range(30)), 1.0, 2.0, 3.0, 4.0])
    frames, rate = clips.frames(tmp_path / "clip.mp4")
    assert rate == pytest.approx(30, rel=0.01)
    assert len(frames) == pytest.approx(121, abs=1)


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    ltx2.Video(FRAMES, 24.0).save(tmp_path / "clip.gif")
    for fps in (-5, float("nan"), 1e9):
        with pytest.raises(ltx2.InvalidArgumentError, match=r"fps: .* is not between 0.01 and"):
            clips.frames(tmp_path / "clip.gif", fps)


def test_numbers_of_frames_need_no_zeros_before_them(tmp_path: Path) -> None:
    counted = (
        np.zeros((12, 32, 32, 3), np.uint8) + np.arange(12, dtype=np.uint8)[:, None, None, None]
    )
    ltx2.Video(counted, 24.0).save(tmp_path / "frames" / "%d.png")
    assert (clips.frames(tmp_path / "frames")[0] == counted).all()


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    ltx2.Video(FRAMES, 24.0).save(tmp_path / "frames.png")
    Image.new("RGB", (64, 32)).save(tmp_path / "frames.png" / "0004.png")
    with pytest.raises(ltx2.InvalidArgumentError, match="differ in size: 64x32 after 96x64"):
        clips.frames(tmp_path / "frames.png")


@pytest.mark.parametrize("ending", ["webp", "apng"])
def test_what_is_transparent_lies_on_white(ending: str, tmp_path: Path) -> None:
    through = [Image.new("RGBA", (32, 32), (255, i, 0, 0)) for i in (0, 90)]
    through[0].save(
        tmp_path / f"clip.{ending}", format=ending.replace("apng", "png"), save_all=True,
        append_images=through[1:], duration=100, lossless=True,
    )  # fmt: skip
    frames, rate = clips.frames(tmp_path / f"clip.{ending}")
    assert rate == 10
    assert (frames == 255).all()


def test_hdr_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with av.open(str(tmp_path / "hdr.mp4"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.color_trc = "yuv420p10le", 16
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        file.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        file.mux(stream.encode(None))
    with caplog.at_level(logging.WARNING, "ltx2"):
        clips.frames(tmp_path / "hdr.mp4")
    assert "hdr.mp4: is HDR" in caplog.text


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_video_that_ends_early_is_said(
    ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after half a download; not one whose sound lasts longer, nor a whole one."""
    whole = tmp_path / f"whole.{ending}"
    still = np.random.default_rng(0).integers(0, 255, (49, 64, 64, 3), np.uint8)
    ltx2.Video(still, 24.0).save(whole)
    tone = np.zeros((96000, 2), np.float32)
    ltx2.Video(still, 24.0, audio=tone, sample_rate=24000).save(tmp_path / f"long.{ending}")
    for name in ("whole", "long"):
        assert len(clips.frames(tmp_path / f"{name}.{ending}")[0]) == 49
    assert not caplog.records
    with av.open(str(whole)) as file:
        ends = [p.pos + p.size for p in file.demux(video=0) if p.size]
    part = tmp_path / f"part.{ending}"
    part.write_bytes(whole.read_bytes()[: ends[20]])
    count = len(clips.frames(part)[0])
    assert 10 < count < 30
    assert f"part.{ending}: ends early: {count} of 49 frames are read" in caplog.text


def sound_alone(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as file:
        stream: Any = file.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate, frame.time_base = 16000, Fraction(1, 16000)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    sound_alone(tmp_path / "sound.mp4")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.webp").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("sound.mp4", "holds no video"),
        ("noise.mp4", "the video cannot be read"),
        ("empty.webp", "the video cannot be read"),
        ("folder", "holds no frames"),
        ("missing.mp4", "No such file"),
    ):
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            clips.read(tmp_path / name)


@pytest.fixture
def enlarging(tiny: dict[str, Path], tmp_path: Path) -> Iterator[ltx2.Session]:
    files = [tiny["bf16"], tiny["bf16"].parent / "gemma"]
    files.append(written("spatial", tmp_path / "up.safetensors"))
    with ltx2.Session(files, device="CPU", threads=1) as session:
        yield session


def test_frames_are_enlarged_as_their_latents_are(enlarging: ltx2.Session, tmp_path: Path) -> None:
    small = enlarging.t2v("a red circle", seed=1, width=64, height=64, frames=9)
    assert small.latents is not None
    kept = enlarging.upscale(small.latents, fps=12)
    assert (kept.frames.shape, kept.fps) == ((9, 128, 128, 3), 12)
    path = tmp_path / "lossless.png"
    small.save(path)
    of_file, of_frames = enlarging.upscale(path), enlarging.upscale(small.frames)
    assert (of_file.frames == of_frames.frames).all()
    assert of_file.fps == 24
    assert kept.latents is not None
    assert of_frames.latents is not None
    assert of_frames.latents.shape == kept.latents.shape  # the VAE of random weights gives others


def test_the_sound_stays_with_what_is_enlarged(enlarging: ltx2.Session, tmp_path: Path) -> None:
    """As long as the frames that are left; of one channel it becomes two."""
    wave_of = np.sin(np.arange(24000) / 20) / 2
    tone = np.stack([wave_of, wave_of], 1).astype(np.float32)
    video = ltx2.Video(clip(12, 64, 64), 12.0, audio=tone, sample_rate=24000)
    large = enlarging.upscale(video)
    assert large.audio is not None
    assert (large.frames.shape, large.fps, large.sample_rate) == ((9, 128, 128, 3), 12, 24000)
    assert np.array_equal(large.audio, tone[:18000])
    video.save(tmp_path / "small.mp4")
    enlarging.upscale(tmp_path / "small.mp4").save(tmp_path / "large.mp4")
    heard = sound.read(tmp_path / "large.mp4")
    assert heard.rate == 24000
    assert 18000 <= len(heard.samples) < 18000 + 2048  # whole frames of AAC
    assert np.square(heard.samples).mean() == pytest.approx(np.square(tone).mean(), rel=0.1)
    with wave.open(str(tmp_path / "mono.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    mono = sound.read(tmp_path / "mono.wav")
    one = ltx2.Video(FRAMES, 12.0, audio=mono.samples, sample_rate=8000)
    assert enlarging.upscale(one).audio is not None


def test_twice_the_frames_take_the_same_time(tiny: dict[str, Path], tmp_path: Path) -> None:
    files = [tiny["bf16"], tiny["bf16"].parent / "gemma"]
    files.append(written("temporal", tmp_path / "up.safetensors"))
    with ltx2.Session(files, device="CPU", threads=1) as session:
        video = session.upscale(FRAMES, fps=12)
    assert (video.frames.shape, video.fps) == ((17, 64, 96, 3), 24)


def test_without_an_upsampler_the_error_says_so(tiny_model: list[Path]) -> None:
    with (
        ltx2.Session(tiny_model, device="CPU", threads=1) as session,
        pytest.raises(ltx2.ModelError, match="no latent upsampler in"),
    ):
        session.upscale(FRAMES)


def test_the_command(
    tiny: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    up = written("spatial", tmp_path / "up.safetensors")
    ltx2.Video(FRAMES, 24.0).save(tmp_path / "small.mp4")
    flags = ["--threads", "1", "--device", "CPU"]
    for file in (tiny["bf16"], tiny["bf16"].parent / "gemma", up):
        flags += ["--model", str(file)]
    large = str(tmp_path / "large.npy")
    assert cli.main(["upscale", str(tmp_path / "small.mp4"), "-o", large, *flags]) == 0
    assert capsys.readouterr().out == large + "\n"
    assert np.load(large).shape == (9, 128, 192, 3)
    assert cli.main(["upscale", str(tmp_path / "none.mp4"), "-o", large, *flags]) == 2
    wav = str(tmp_path / "large.wav")
    capsys.readouterr()
    assert cli.main(["upscale", str(tmp_path / "small.mp4"), "-o", wav, *flags]) == 2
    assert "large.wav: the video has no sound" in capsys.readouterr().err
