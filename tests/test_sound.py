"""Sound in the files that a video is saved as: what is heard, and when."""

from __future__ import annotations

import logging
import wave
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from golden_text import clip

import ltx2
from ltx2 import sound

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 48000


def sounding(frames: int, fps: float, rate: int = RATE) -> ltx2.Video:
    """Noise on the left, another on the right; some 30 ms shorter than the pictures, as LTX's."""
    samples = round((frames / fps - 0.03) * rate)
    random = np.random.default_rng(3)
    smooth = np.convolve(random.standard_normal(2 * samples), np.ones(24) / 24, "same")
    audio = smooth.reshape(2, samples).T.astype(np.float32)
    return ltx2.Video(clip(frames, 64, 64), fps, audio=audio, sample_rate=rate)


def heard(path: Path) -> tuple[NDArray[np.float32], Any]:
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        frames = list(file.decode(stream))
        first = frames[0].pts * frames[0].time_base
        skipped = round(float(first) * stream.rate)
        whole = np.concatenate([frame.to_ndarray() for frame in frames], 1)
        return np.pad(whole, ((0, 0), (skipped, 0))).T, stream.rate


@pytest.mark.parametrize(
    ("frames", "fps", "rate"), [(9, 24, 48000), (49, 25, 48000), (17, 24, 24000)]
)
def test_in_an_mp4_it_begins_and_ends_with_the_pictures(
    frames: int, fps: float, rate: int, tmp_path: Path
) -> None:
    video = sounding(frames, fps, rate)
    assert video.audio is not None
    path = tmp_path / "clip.mp4"
    video.save(path)
    samples, have_rate = heard(path)
    assert have_rate == rate
    count = len(video.audio)
    assert abs(len(samples) - count) <= rate / fps
    for channel in (0, 1):
        mine, theirs = video.audio[:, channel], samples[:count, channel]
        offsets = range(-20, 21)
        scores = [
            float(np.dot(mine[100:-100], np.roll(theirs, -o)[100 : len(mine) - 100]))
            for o in offsets
        ]
        assert offsets[int(np.argmax(scores))] == 0
        error = mine[: len(theirs)] - theirs
        assert float((error**2).mean() / (mine**2).mean()) < 0.06  # measured 0.03


def test_alone_in_a_wav(tmp_path: Path) -> None:
    video = sounding(9, 24)
    assert video.audio is not None
    video.save(tmp_path / "clip.wav")
    with wave.open(str(tmp_path / "clip.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert abs(samples / 32767 - video.audio.clip(-1, 1)).max() <= 1 / 32767


def test_where_there_is_no_sound_or_no_place_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="has no sound"):
        ltx2.Video(clip(9, 64, 64), 24).save(tmp_path / "clip.wav")
    assert not list(tmp_path.iterdir())
    with caplog.at_level(logging.WARNING, "ltx2"):
        sounding(9, 24).save(tmp_path / "clip.gif")
    assert "holds no sound; .mp4, " in caplog.text


@pytest.mark.parametrize(("rate", "becomes"), [(192000, 96000), (11127, 12000), (100, 7350)])
def test_a_rate_that_aac_lacks_becomes_one_that_it_has(
    rate: int, becomes: int, tmp_path: Path
) -> None:
    video = sounding(25, 24, rate)
    assert video.audio is not None
    video.save(tmp_path / "a.mp4")
    samples, have = heard(tmp_path / "a.mp4")
    assert have == becomes
    assert len(samples) / have == pytest.approx(len(video.audio) / rate, abs=1024 / have + 0.1)
    video.save(tmp_path / "a.webm")
    assert heard(tmp_path / "a.webm")[1] == RATE


@pytest.mark.parametrize(
    ("audio", "rate", "words"),
    [
        (np.zeros(100, np.float32), RATE, "audio: float32 of 100 is not"),
        (np.zeros((100, 1), np.float32), RATE, "audio: float32 of 100x1 is not"),
        (np.zeros((100, 6), np.float32), RATE, "audio: float32 of 100x6 is not"),
        (np.zeros((0, 2), np.float32), RATE, "audio: float32 of 0x2 is not"),
        (np.zeros((100, 2), np.int16), RATE, "audio: int16 of 100x2 is not"),
        (np.full((100, 2), np.nan, np.float32), RATE, "audio: has values that are not finite"),
        (np.zeros((100, 2), np.float32), 0, "sample_rate: 0 is no number"),
        (np.zeros((100, 2), np.float32), 48000.5, "sample_rate: 48000.5 is no number"),
    ],
)
@pytest.mark.parametrize("ending", ["mp4", "wav", "gif"])
def test_what_is_no_sound_is_refused(
    ending: str, audio: Any, rate: Any, words: str, tmp_path: Path
) -> None:
    video = ltx2.Video(clip(9, 64, 64), 24, audio=audio, sample_rate=rate)
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        video.save(tmp_path / f"a.{ending}")
    assert not list(tmp_path.iterdir())


def recorded(path: Path, pieces: list[tuple[float, float, int]], pictures_at: float = 0.0) -> None:
    """From a second to another so loud; 48 frames beside it."""
    with av.open(str(path), "w") as file:
        video: Any = file.add_stream("libx264", rate=24)
        video.width = video.height = 64
        audio: Any = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        for i in range(48):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = i + round(24 * pictures_at), Fraction(1, 24)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        for begin, end, level in pieces:
            samples = np.full((1, round(8000 * (end - begin))), level, np.int16)
            heard = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            heard.sample_rate, heard.pts = 8000, round(8000 * begin)
            heard.time_base = Fraction(1, 8000)
            file.mux(audio.encode(heard))


def test_silence_stands_where_a_recording_has_none(tmp_path: Path) -> None:
    recorded(tmp_path / "a.mkv", [(0, 0.5, 3000), (1, 2, 3000)])
    samples, rate = sound.read(tmp_path / "a.mkv")
    loud = samples[:, 0] > 0.05
    assert (len(samples), rate) == (16000, 8000)
    assert loud[:3990].all() and not loud[4010:7990].any() and loud[8010:].all()


def test_what_is_heard_before_the_pictures_does_not_count(tmp_path: Path) -> None:
    recorded(tmp_path / "a.mkv", [(0, 0.5, 3000), (0.5, 1, 3000), (1, 3, 6000)], pictures_at=1)
    for seconds, lasts in ((1.0, 1.0), (1.4, 1.4), (9.0, 2.0)):
        samples, _ = sound.read(tmp_path / "a.mkv", seconds)
        assert len(samples) == round(8000 * lasts)
        assert (samples > 0.15).all()


def test_more_channels_are_mixed_without_clipping(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=8000, layout="5.1")
        frame = av.AudioFrame.from_ndarray(np.full((1, 48000), 29000, np.int16), "s16", "5.1")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    samples, _ = sound.read(tmp_path / "a.wav")
    assert samples.shape == (8000, 2)
    assert 0.8 < samples.max() <= 1


@pytest.mark.parametrize("later", [0.0, 0.5])
def test_the_sound_of_a_file_begins_where_its_pictures_do(later: float, tmp_path: Path) -> None:
    """Also where the file has the sound begin later."""
    video = sounding(49, 24)
    assert video.audio is not None
    path = tmp_path / "a.mkv"
    video.save(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as given, av.open(str(path), "w") as file:
        kinds = [given.streams.video[0], given.streams.audio[0]]
        made = [file.add_stream_from_template(stream) for stream in kinds]
        for packet in given.demux(kinds):
            if packet.dts is None:
                continue
            assert packet.pts is not None and packet.time_base is not None
            if packet.stream.type == "audio":
                shift = round(later / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = made[packet.stream.type == "audio"]
            file.mux(packet)
    for source, delay in ((tmp_path / "a.mp4", 0.0), (path, later)):
        found = sound.find(source)
        assert found is not None
        assert found.rate == video.sample_rate
        at = round(delay * found.rate)
        assert np.abs(found.samples[: max(0, at - 2000)]).sum() == 0
        wanted = video.audio[4096:20000, 0]
        lags = range(-1200, 1201, 40)
        errors = [
            np.square(found.samples[at + lag + 4096 :, 0][: len(wanted)] - wanted).mean()
            for lag in lags
        ]
        assert abs(lags[int(np.argmin(errors))]) <= 40
