"""Videos made by videos and sounds: what stays of them, what is refused, jobs that go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import make_tiny
import numpy as np
import pytest
from click.testing import CliRunner

import ltx2
from ltx2 import clips, sound
from ltx2.cli import cli
from ltx2.given import references_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SIZE: dict[str, Any] = {"width": 64, "height": 64, "steps": 1, "seed": 1}
RATE = 24000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One that makes sound."""
    folder = make_tiny.generate("twins", tmp_path_factory.mktemp("twins"))
    return [folder / "ltx-tiny-twins.safetensors", folder / "gemma"]


@pytest.fixture(scope="module")
def session(model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(model, device="CPU", threads=1, keep_loaded=True) as session:
        yield session


@pytest.fixture(scope="module")
def given(session: ltx2.Session) -> ltx2.Video:
    return session.t2v("a dot", frames=33, **SIZE)


def noisy(count: int, channels: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(count)
    return rng.uniform(-0.3, 0.3, (count, channels)).astype(np.float32)


# ---- retake


def test_a_retake_leaves_what_is_far_from_it(session: ltx2.Session, given: ltx2.Video) -> None:
    video = session.retake("a line", given, 0.9, 1.0, steps=1, seed=9)  # frames 17 to 24
    same = (video.frames == given.frames).all((1, 2, 3))
    assert same[:9].all()  # 8 frames pass over on each side
    assert not same[17:25].any()
    assert same[32:].all()
    assert video.fps == given.fps
    assert video.metadata["retake"] == {"start": 0.9, "end": 1.0, "what": None}
    assert video.latents is not None
    whole = session.retake("a line", given, 0.9, 1.0, steps=1, seed=9, splice=False)
    assert not (whole.frames[0] == given.frames[0]).all()
    assert (whole.frames[17:25] == video.frames[17:25]).all()


def test_a_retake_of_the_video_keeps_the_sound_and_the_other_way_round(
    session: ltx2.Session, given: ltx2.Video
) -> None:
    video = session.retake("a line", given, 0.5, 1, what="video", steps=1)
    assert video.audio is not None and given.audio is not None
    assert (video.audio == given.audio).all()
    sound = session.retake("a line", given, 0.5, 1, what="audio", steps=1)
    assert (sound.frames == given.frames).all()
    assert sound.audio is not None
    assert not np.array_equal(sound.audio, given.audio)


def test_a_retake_keeps_the_end_of_the_sound(session: ltx2.Session, given: ltx2.Video) -> None:
    rate = given.sample_rate
    whole = noisy(rate * 33 // 24)
    sounding = ltx2.Video(given.frames, 24.0, audio=whole, sample_rate=rate)
    video = session.retake("a line", sounding, 0.3, 0.4, steps=1)
    assert video.audio is not None
    assert len(video.audio) == len(whole)
    assert (video.audio[-rate // 2 :] == whole[-rate // 2 :]).all()


def test_a_retake_has_no_more_frames_than_the_video(
    session: ltx2.Session, given: ltx2.Video
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="frames: 41, and the video has 33"):
        session.retake("a line", given, 0.3, 0.4, frames=41)


def test_a_video_is_taken_at_the_rate_that_is_asked_for(
    session: ltx2.Session, given: ltx2.Video
) -> None:
    video = session.retake("a line", given, 0.3, 0.4, fps=12, steps=1, audio=False)
    assert (len(video.frames), video.fps) == (17, 12)
    assert (video.frames[-1] == given.frames[32]).all()


# ---- extend


@pytest.mark.parametrize("before", [False, True])
def test_a_longer_video_begins_or_ends_with_the_given_one(
    before: bool, session: ltx2.Session, given: ltx2.Video
) -> None:
    options: dict[str, Any] = {"context": 17, "frames": 33, "steps": 1, "seed": 2}
    video = session.extend("a dot", given, 24, before=before, **options)
    assert len(video.frames) == 33 + 24  # by two pieces
    assert video.seed == 2
    assert video.metadata["frames"] == 57
    old = video.frames[24:] if before else video.frames[:33]
    same = (old == given.frames).all((1, 2, 3))
    assert same[9:].all() if before else same[:-9].all()
    assert video.audio is not None
    assert abs(len(video.audio) / video.sample_rate - 57 / 24) < 0.041
    assert given.audio is not None
    begin = video.sample_rate if before else 0  # of what was given
    heard = video.audio[begin:][: len(given.audio)]
    seam = round(0.06 * video.sample_rate)
    kept = slice(seam, None) if before else slice(-seam)
    assert np.array_equal(heard[kept], given.audio[kept])


@pytest.mark.parametrize("before", [False, True])
def test_a_longer_video_has_all_of_the_given_frames(
    before: bool, session: ltx2.Session, given: ltx2.Video
) -> None:
    video = session.extend(
        "a dot", given.frames[:30], 8, before=before, context=17, frames=25, steps=1, audio=False
    )
    assert len(video.frames) == 38
    far = video.frames[-20:] if before else video.frames[:20]
    assert (far == (given.frames[10:30] if before else given.frames[:20])).all()


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("count", [17, 33])
def test_what_was_silent_stays_silent(
    count: int, before: bool, session: ltx2.Session, given: ltx2.Video
) -> None:
    silent = ltx2.Video(given.frames[:count], given.fps)
    video = session.extend(
        "a dot", silent, 8, before=before, context=17, frames=25, steps=1, seed=2
    )
    assert video.audio is not None
    seam = round((8 if before else count) / 24 * video.sample_rate)
    old, new = video.audio[:seam], video.audio[seam:]
    if before:
        old, new = new[480:], old
    assert not old.any()
    assert new.any()


def test_new_frames_go_on_from_what_is_there(session: ltx2.Session, given: ltx2.Video) -> None:
    options: dict[str, Any] = {"context": 17, "frames": 25, "steps": 2, "seed": 2}
    one = session.extend("a dot", given.frames[:17], 8, audio=False, **options)
    other = session.extend("a dot", 255 - given.frames[:17], 8, audio=False, **options)
    assert np.abs(one.frames[17:].astype(int) - other.frames[17:]).mean() > 1


# ---- sound to video


def test_a_video_to_a_sound_has_its_samples(session: ltx2.Session, tmp_path: Path) -> None:
    samples = noisy(RATE - 1000)
    video = session.a2v("a drum", samples, sample_rate=np.int64(RATE), **SIZE)
    assert len(video.frames) == 17  # of 23 frames that the sound lasts
    assert video.sample_rate == RATE
    assert video.audio is not None
    assert np.array_equal(video.audio, samples[: round(17 / 24 * RATE)])
    other = session.a2v("a drum", noisy(RATE - 999), sample_rate=RATE, **SIZE)
    assert np.abs(video.frames.astype(int) - other.frames).mean() > 0.05
    mono = session.a2v("a drum", samples[:, 0], sample_rate=RATE, **SIZE)
    assert mono.audio is not None
    assert (mono.audio[:, 0] == mono.audio[:, 1]).all()
    path = tmp_path / "s.wav"
    sound.write_wav(path, sound.Sound(samples, RATE))
    read = sound.read(path)
    assert read.rate == RATE
    assert np.abs(read.samples - samples).max() < 1 / 16384
    of_file = session.a2v("a drum", path, **SIZE)
    assert np.abs(of_file.frames.astype(int) - video.frames).mean() < 1


class PlannedError(Exception):
    """With what a call would have made."""


def planned(call: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
    def stops(plan: dict[str, Any]) -> None:
        raise PlannedError(plan)

    with pytest.raises(PlannedError) as found:
        call(*arguments, expect=stops, steps=1, width=64, height=64, **options)
    plan: dict[str, Any] = found.value.args[0]
    return plan


def test_a_video_to_the_sound_of_another_is_as_long(
    session: ltx2.Session, given: ltx2.Video, tmp_path: Path
) -> None:
    given.save(tmp_path / "given.mp4")
    for heard in (given, tmp_path / "given.mp4"):
        assert planned(session.a2v, "a drum", heard)["frames"] == 33
    with pytest.raises(ltx2.InvalidArgumentError, match="sound: the video has none"):
        session.a2v("a drum", ltx2.Video(given.frames, 24.0))


@pytest.mark.parametrize("fps", [8, 23.976, 24, 25, 30, 50])
def test_frames_are_as_many_as_the_sound_lasts(session: ltx2.Session, fps: float) -> None:
    for frames in range(9, 121, 8):
        tokens = round(25 * frames / fps)  # 40 ms each, the first of them 10
        for seconds in (frames / fps, (4 * tokens - 3) / 100):
            samples = np.zeros((round(seconds * 8000), 1), np.float32)
            plan = planned(session.a2v, "a drum", samples, sample_rate=8000, fps=fps)
            assert plan["frames"] == frames, seconds


def test_a_picture_alone_is_the_first_frame(session: ltx2.Session, given: ltx2.Video) -> None:
    options = {**SIZE, "frames": 9, "audio": False}
    picture = given.frames[8]
    one = session.v2v("a dot", given, images=picture, **options)
    other = session.v2v("a dot", given, images={np.int64(0): picture}, **options)
    assert np.array_equal(one.frames, other.frames)
    heard = session.a2v("a dot", given, images=(picture, 0.5), frames=9, **SIZE)
    assert [(i["frame"], i["strength"]) for i in heard.metadata["images"]] == [(0, 0.5)]


def test_of_a_sound_that_is_too_short_the_rest_is_made(session: ltx2.Session) -> None:
    samples = noisy(RATE // 4)
    video = session.a2v("a drum", samples, sample_rate=RATE, frames=17, **SIZE)
    assert video.audio is not None
    assert video.sample_rate == 48000
    assert len(video.audio) / 48000 == pytest.approx(17 / 24, abs=0.05)


# ---- references and keyframes


def test_a_reference_is_read_as_far_as_it_is_looked_at(
    session: ltx2.Session, given: ltx2.Video, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given.save(tmp_path / "given.mp4")
    for reference in (given, given.frames, tmp_path / "given.mp4"):
        rows = references_of(reference, 24.0, 9)
        assert len(rows[0][1].pixels) == 9
        video = session.v2v("a dot", reference, frames=9, audio=False, **SIZE)
        assert video.metadata["references"][0]["sha256"] == rows[0][1].sha256
    assert "only its first" not in caplog.text
    assert planned(session.v2v, "a dot", given)["frames"] == 33


def test_a_reference_changes_the_video_by_all_that_is_said_of_it(
    session: ltx2.Session, given: ltx2.Video
) -> None:
    def made(*references: ltx2.Reference) -> NDArray[np.float32]:
        video = session.v2v("a dot", references, frames=17, audio=False, **SIZE)
        assert video.latents is not None
        assert len(video.metadata["references"]) == len(references)
        return video.latents

    clip, other = given.frames[:17], 255 - given.frames[:9]
    all_of_it = [
        made(ltx2.Reference(clip)),
        made(ltx2.Reference(other)),
        made(ltx2.Reference(clip, strength=0.5)),
        made(ltx2.Reference(clip, attention=0.5)),
        made(ltx2.Reference(clip, downscale=2)),
        made(ltx2.Reference(clip, temporal=2)),
        made(ltx2.Reference(clip), ltx2.Reference(other)),
        made(ltx2.Reference(clip, attention=0.99999), ltx2.Reference(other)),
    ]
    for i, one in enumerate(all_of_it):
        assert one.shape == all_of_it[0].shape
        for before in all_of_it[:i]:
            assert np.abs(one - before).max() > 1e-5


def test_a_keyframe_is_not_the_frame_itself(session: ltx2.Session, given: ltx2.Video) -> None:
    options = {**SIZE, "frames": 9, "audio": False}
    image = given.frames[0]
    itself = session.i2v("a dot", image, crf=0, **options)
    guide = session.i2v("a dot", image, crf=0, keyframes=True, **options)
    assert guide.metadata["keyframes"]
    assert itself.latents is not None and guide.latents is not None
    assert itself.latents.shape == guide.latents.shape
    assert np.abs(itself.latents[:, 0] - guide.latents[:, 0]).max() > 0.01


# ---- what is refused, before the work


def test_what_does_not_fit_is_refused(session: ltx2.Session, given: ltx2.Video) -> None:
    clip, half = given.frames[:9], cast("Any", 20.5)
    wrong: list[tuple[str, Any]] = [
        ("retake_end: 2 is after", lambda: session.retake("a", given, 0.5, 2)),
        ("start, end: 0.5..0.5", lambda: session.retake("a", given, 0.5, 0.5)),
        (
            "what: is audio, and audio is off",
            lambda: session.retake("a", given, 0, 1, what="audio", audio=False),
        ),
        ("image: '0' is no number of a frame", lambda: session.i2v("a", {"0": clip[0]})),  # type: ignore[dict-item]
        ("image: a list is no path", lambda: session.v2v("a", clip, images=[clip[0]])),  # type: ignore[arg-type]
        ("sound: a list is no path", lambda: session.a2v("a", [0.0])),  # type: ignore[arg-type]
        ("video: a list is no path", lambda: session.retake("a", [clip[0]], 0, 1)),  # type: ignore[arg-type]
        ("frames: '9' is not", lambda: session.v2v("a", clip, frames="9")),  # type: ignore[arg-type]
        ("frames: -9", lambda: session.a2v("a", given, frames=-9)),
        ("what: 'all' is not both", lambda: session.retake("a", given, 0, 1, what="all")),
        ("context: 16 is not 8k", lambda: session.extend("a", given, 8, context=16)),
        ("crf: 20.5 is no whole", lambda: session.v2v("a", clip, images={0: clip[0]}, crf=half)),
        ("more: 7 is not a multiple", lambda: session.extend("a", given, 7)),
        ("leave no room", lambda: session.extend("a", given, 8, frames=17)),
        ("width: is the video's", lambda: session.retake("a", given, 0, 1, width=64)),
        ("sample_rate: None is no number", lambda: session.a2v("a", noisy(10))),
        ("uint8 of 3x2 is not", lambda: session.a2v("a", np.zeros((3, 2), np.uint8))),
        ("audio is off", lambda: session.a2v("a", noisy(999), sample_rate=999, audio=False)),
        ("strength 2 is not", lambda: session.v2v("a", ltx2.Reference(clip, strength=2))),
        ("multiple of 96", lambda: session.v2v("a", ltx2.Reference(clip, downscale=3), **SIZE)),
        ("downscale 99", lambda: session.v2v("a", ltx2.Reference(clip, downscale=99), **SIZE)),
        ("float32 of 3x3 is not", lambda: session.v2v("a", np.zeros((3, 3), np.float32))),
        ("none is given", lambda: session.v2v("a", [])),
        ("not finite", lambda: session.a2v("a", noisy(9999) * np.nan, sample_rate=RATE, **SIZE)),
    ]
    for words, call in wrong:
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            call()


def test_a_model_without_sound_takes_none(tiny_model: list[Path]) -> None:
    with (
        ltx2.Session(tiny_model, device="CPU") as session,
        pytest.raises(ltx2.ModelError, match="audio: the model makes no sound, for lack of"),
    ):
        session.a2v("a dot", noisy(RATE), sample_rate=RATE)
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    with (
        ltx2.Session(tiny_model, device="CPU") as session,
        pytest.raises(ltx2.ModelError, match="audio: the model makes no sound, for lack of"),
    ):
        session.retake("a dot", frames, 0, 0.2, what="audio", steps=1)


# ---- jobs, replay, the command


def test_a_job_holds_what_the_video_is_made_by(
    session: ltx2.Session, given: ltx2.Video, tmp_path: Path
) -> None:
    def stops(progress: ltx2.Progress) -> None:
        if progress.stage == "denoise" and progress.done == 1:
            raise KeyError("enough")

    def run(**more: Any) -> ltx2.Video:
        return session.retake("a line", given, 0.5, 1, steps=3, seed=4, **more)

    with pytest.raises(KeyError):
        run(job=tmp_path / "j", progress=stops)
    resumed = session.resume(tmp_path / "j")
    whole = run()
    assert np.array_equal(resumed.frames, whole.frames)
    assert resumed.audio is not None and whole.audio is not None
    assert np.array_equal(resumed.audio, whole.audio)
    with pytest.raises(KeyError):
        session.v2v(
            "a line", ltx2.Reference(given, attention=0.5), job=tmp_path / "k", progress=stops,
            frames=9, **{**SIZE, "steps": 2},
        )  # fmt: skip
    assert session.resume(tmp_path / "k").metadata["references"][0]["attention"] == 0.5
    whole.save(tmp_path / "clip.mp4")
    with pytest.raises(ltx2.InvalidArgumentError, match="from a source, which it does not hold"):
        session.replay(tmp_path / "clip.mp4")


def test_the_commands_make_what_the_methods_do(
    model: list[Path], given: ltx2.Video, tmp_path: Path
) -> None:
    given.save(tmp_path / "given.mp4")
    frames, fps = clips.frames(tmp_path / "given.mp4")
    assert frames.shape == given.frames.shape
    assert fps == 24

    def run(*line: str) -> NDArray[np.uint8]:
        out = str(tmp_path / "out.npy")
        opening = [word for path in model for word in ("--model", str(path))]
        done = CliRunner().invoke(
            cli, [*line, "-o", out, *opening, "--steps", "1", "--seed", "1"],
            catch_exceptions=False,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        made: NDArray[np.uint8] = np.load(out)
        return made

    clip = str(tmp_path / "given.mp4")
    assert (run("retake", "a line", clip, "0.9-1.0")[0] == frames[0]).all()
    assert len(run("extend", "a line", clip, "8", "--context", "17", "--frames", "25")) == 41
    small = ["--width", "64", "--height", "64", "--frames", "9"]
    assert run("a2v", "a line", clip, *small).shape == (9, 64, 64, 3)
    assert run("v2v", "a line", clip, "--attention", "0.5", *small).shape == (9, 64, 64, 3)
    done = CliRunner().invoke(cli, ["retake", "a", clip, "3-2", "-o", str(tmp_path / "x.mp4")])
    assert done.exit_code == 2
    assert "3-2 is not START-END, in seconds, as 1.5-3" in done.output
