"""Where no number of frames is given, LTX-2.5's duration head tells it from the prompt."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import make_tiny
import numpy as np
import pytest
import test_parity_upsampler
import tiny_gemma4
from parity import golden
from safetensors_file import read_safetensors, write_safetensors
from test_cli_runs import named
from test_parity_duration import head
from test_parity_sound import PROMPT, sounding

import ltx2
from ltx2 import cli, media
from ltx2._native import lib
from ltx2._video_call import VideoCall, video_of
from ltx2.jobs import Job
from ltx2.request import Request

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {
    "width": 64, "height": 64, "fps": 8.0, "seed": 3, "steps": 1,
    "guidance": 1.0, "audio_guidance": 1.0, "modality_guidance": 1.0,
}  # fmt: skip


def telling(path: Path, seconds: float, spread: float = 0.02) -> Path:
    """One that tells nearly so many seconds of any prompt, a little as the prompt is."""
    tensors = head()
    for name, change in (("weight", lambda w: spread * w), ("bias", lambda _: math.log(seconds))):
        kind, values = tensors["duration_head.mlp_out." + name]
        changed = np.broadcast_to(np.float32(change(values)), values.shape)
        tensors["duration_head.mlp_out." + name] = (kind, np.ascontiguousarray(changed))
    return write_safetensors(path, tensors)


@pytest.fixture(scope="module")
def files(tiny: dict[str, Path], folder: Path) -> list[Path]:
    """With a text encoder, as LTX-2.5 is published, and without a head."""
    v25, *sound = sounding("v25", tiny, folder)
    tensors, metadata = read_safetensors(v25)
    rest = {n: t for n, t in tensors.items() if not n.startswith("text_embedding_projection.")}
    return [
        write_safetensors(folder / "split.safetensors", rest, metadata),
        tiny_gemma4.generate("shared", folder / "gemma4", "file"),
        *sound,
    ]


@pytest.fixture(scope="module")
def model(files: list[Path], folder: Path) -> list[Path]:
    """With one that tells about three seconds: 25 frames at 8 a second."""
    return [*files, telling(folder / "duration.safetensors", 3.3)]


def opened(model: list[Path]) -> ltx2.Session:
    return ltx2.Session(model, device="CPU", threads=1)


def test_the_prompt_tells_the_length(model: list[Path], files: list[Path]) -> None:
    with opened(model) as session:
        video = session.t2v(PROMPT, **SMALL)
        other = session.t2v("a blue square", **SMALL)
        silent = session.t2v(PROMPT, audio=False, **SMALL)
        short = session.t2v(PROMPT, frames=9, **SMALL)
        again = session.t2v(PROMPT, frames=25, **SMALL)
        assert session.defaults["frames"] == 9
    assert [len(v) for v in (video, other, silent, short)] == [25, 25, 25, 9]
    told = [v.metadata["predicted_seconds"] for v in (video, other, silent)]
    assert told[0] == told[2] != told[1]  # the sound's features too, whether it is made or not
    assert 3.1 < told[0] < 3.6
    assert video.metadata["frames"] == 25
    assert "predicted_seconds" not in short.metadata
    assert np.array_equal(video.frames, again.frames)
    assert video.audio is not None and again.audio is not None
    assert np.array_equal(video.audio, again.audio)
    assert video.metadata["parts"] == again.metadata["parts"]
    with opened(files) as session:
        assert len(session.t2v(PROMPT, **SMALL)) == 9  # the model's own


def test_in_one_call_of_c(model: list[Path], tmp_path: Path) -> None:
    """Which encodes the prompt before it knows the length; also where it goes on from a step."""
    job = tmp_path / "job"
    for changed in ({}, {"audio": False}):
        with opened(model) as session:
            video = session.t2v(PROMPT, job=job, **{**SMALL, **changed, "steps": 2})
            made = Job.load(job)
            job.unlink()
            for step, state in ((0, None), (made.request.step, made.request.state)):
                request = Request(PROMPT, {**SMALL, **changed, "steps": 2}, step=step, state=state)
                with VideoCall(session) as call:
                    params, call.inputs = request.params()
                    assert params.frames == 0
                    owner = session._run(lib.ltx2_session_generate, params, call)
                assert np.array_equal(video_of(owner, {}).frames, video.frames)


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [(1e-30, 8.0, 9), (1e30, 8.0, 153), (2.1, 24.0, 49), (1e30, 240.0, 4097), (1.0, 1.0, 1)],
)
def test_bounds(seconds: float, fps: float, frames: int, files: list[Path], tmp_path: Path) -> None:
    text = ltx2.Features("a", None, golden("v25-clip")["features"])
    head = telling(tmp_path / "head.safetensors", seconds, 0)
    with opened([*files, head]) as session:
        request = {**SMALL, "fps": fps, "width": 32, "height": 32}
        assert session.plan(text, **request)["frames"] == frames


@pytest.mark.parametrize(
    ("seconds", "fps", "doublings", "frames"),
    [(1.0, 1.0, 0, 9), (20.0, 60.0, 2, 4097), (20.0, 60.0, 1, 2385)],
)
def test_bounds_where_frames_are_doubled(
    seconds: float, fps: float, doublings: int, frames: int, files: list[Path], tmp_path: Path
) -> None:
    """No more than can be made of them, and a whole segment of its latents at least."""
    text = ltx2.Features("a", None, golden("v25-clip")["features"])
    upsamplers = [
        test_parity_upsampler.written(kind, tmp_path / f"{kind}.safetensors", channels=8)
        for kind in ("spatial", "temporal")
    ]
    head = telling(tmp_path / "head.safetensors", seconds, 0)
    with opened([*files, head, *upsamplers]) as session:
        size: dict[str, Any] = {"width": 64, "height": 64, "fps": fps}
        request = {**size, "recipe": "dfr", "audio": False}
        plan = session.plan(text, temporal_upscalings=doublings, **request)
        assert plan["frames"] == frames
        assert session.plan("a", temporal_upscalings=2, **request)["frames"] >= 33  # till it tells


def test_features_tell_it_as_the_prompt_does(model: list[Path]) -> None:
    with opened(model) as session:
        told = session.t2v(PROMPT, **SMALL)
        text = session.encode(PROMPT, **SMALL)
        video = session.t2v(text, **SMALL)
        assert session.plan(text, **SMALL)["frames"] == 25
    assert np.array_equal(told.frames, video.frames)
    assert told.metadata["predicted_seconds"] == video.metadata["predicted_seconds"]
    without = [file for file in model if "gemma4" not in str(file)]
    assert len(without) == len(model) - 1
    with opened(without) as session:  # no text encoder, and features of the video alone
        of_video = ltx2.Features("a", None, np.ascontiguousarray(text.values[:, :64]))
        silent = session.t2v(of_video, audio=False, **SMALL)
    assert len(silent) == 25
    assert silent.metadata["predicted_seconds"] != video.metadata["predicted_seconds"]


def test_what_else_tells_the_length_comes_first(model: list[Path], files: list[Path]) -> None:
    """The head is not asked: all is as without one."""
    noise = make_tiny.normal("duration", "noise", (8, 2, 2, 2))
    picture = np.full((64, 64, 3), 200, np.uint8)
    clip = np.zeros((17, 64, 64, 3), np.uint8)
    sound = np.zeros((48000, 1), np.float32)
    small = {**SMALL, "recipe": "one-stage"}
    at_once = {name: value for name, value in small.items() if name not in ("width", "height")}
    lengths, metadata = [], []
    for files_ in (model, files):
        with opened(files_) as session:
            videos = [
                session.t2v(PROMPT, noise=noise, **small),
                session.v2v(PROMPT, clip, **small),
                session.a2v(PROMPT, sound, sample_rate=16000, **small),
                session.retake(PROMPT, clip, 0.5, 1.5, **at_once),
                session.extend(PROMPT, clip, 8, context=17, frames=25, **at_once),
            ]
            with pytest.raises(ltx2.InvalidArgumentError, match="frames: 9 leave no room"):
                session.extend(PROMPT, clip, 8, **at_once)
        lengths.append([len(video) for video in videos])
        metadata += [video.metadata for video in videos]
    assert lengths[0] == lengths[1] == [9, 9, 9, 17, 25]
    assert not any("predicted_seconds" in about for about in metadata)
    with opened(model) as session:  # a picture needs more frames than are told
        assert len(session.i2v(PROMPT, picture, **SMALL)) == 25
        assert len(session.i2v(PROMPT, {0: picture, 40: picture}, **SMALL)) == 41
        with pytest.raises(ltx2.InvalidArgumentError, match=r"5000 is not in 0\.\.4096"):
            session.i2v(PROMPT, {5000: picture}, **SMALL)


def test_a_plan_assumes_it(model: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with opened(model) as session:
        plan = session.plan(PROMPT, **SMALL)
        assert (plan["frames"], plan["frames_assumed"]) == (9, True)
        assert "frames_assumed" not in session.plan(PROMPT, frames=17, **SMALL)
    words = ["--device", "cpu", "--width", "64", "--height", "64", "--fps", "8"]
    assert cli.main(["plan", PROMPT, *words, *named(*model)]) == 0
    assert "64x64, 9 frames assumed, as the prompt will tell, 4 steps" in capsys.readouterr().out


def test_a_queue_does_not_say_what_is_assumed(model: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("starlette", reason="needs ltx2[serve]")
    from ltx2.serve.asked import Asked
    from ltx2.serve.folder import Folder
    from ltx2.serve.shown import shown
    from ltx2.serve.store import Entry

    with opened(model) as session:
        for more, frames, seconds in (({}, None, None), ({"frames": 17}, 17, "2.12")):
            asked = Asked(PROMPT, {**SMALL, **more})
            entry = Entry.new(asked, session.plan(PROMPT, **asked.options))
            about = shown(entry, Folder(tmp_path), None, "a model")
            assert (about["frames"], about["seconds"]) == (frames, seconds)


def test_it_is_said_first(
    model: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--device", "cpu", "--width", "64", "--height", "64", "--fps", "8", "--steps", "1"]
    clip = tmp_path / "a.gif"
    assert cli.main(["t2v", PROMPT, "-o", str(clip), *words, *named(*model), "--json"]) == 0
    printed = capsys.readouterr()
    assert "64x64, 25 frames at 8 a second (3.1 s, chosen by the duration head)" in printed.err
    assert json.loads(printed.out)["frames"] == 25
    assert 3.1 < media.read_metadata(clip)["predicted_seconds"] < 3.6
    assert (
        cli.main(["t2v", PROMPT, "-o", str(clip), "-y", "--frames", "9", *words, *named(*model)])
        == 0
    )
    assert "9 frames at 8 a second, " not in capsys.readouterr().err.replace(" with sound", ",")


def test_repeated_and_resumed(model: list[Path], files: list[Path], tmp_path: Path) -> None:
    """What it told is among the settings, so the head is needed no more."""
    job = tmp_path / "job"
    with opened(model) as session:
        video = session.t2v(PROMPT, job=job, **SMALL)
    video.save(tmp_path / "a.gif")
    with opened(files) as session:
        resumed = session.resume(job)
        replayed = session.replay(tmp_path / "a.gif")
    for other in (resumed, replayed):
        assert np.array_equal(other.frames, video.frames)
        assert other.metadata["frames"] == 25


def test_a_list_of_jobs(model: list[Path], tmp_path: Path) -> None:
    jobs = [{"prompt": PROMPT, "output": "a.gif", **SMALL}]
    for made in (True, False):
        (outcome,) = ltx2.batch.generate(
            jobs, folder=tmp_path, model=model, device="CPU", threads=1
        )
        assert outcome.error is None
        assert (outcome.made, outcome.metadata["frames"]) == (made, 25)


def test_of_another_generation(tiny: dict[str, Path], tmp_path: Path) -> None:
    duration = telling(tmp_path / "duration.safetensors", 2)
    words = "its duration head is of LTX-2.5, and the diffusion transformer of .* of LTX-2.3"
    with pytest.raises(ltx2.ModelError, match=words):
        opened([tiny["joint"], tiny["joint"].parent / "gemma", duration])


def test_one_of_another_size(files: list[Path], tmp_path: Path) -> None:
    sizes = {"video": 96, "audio": 32, "width": 32}
    other = write_safetensors(tmp_path / "other.safetensors", head(sizes))
    with pytest.raises(ltx2.ModelError, match=r"rows of 96 and 32, and .* of 64 and 32"):
        opened([*files, other])


def test_a_damaged_one(files: list[Path], tmp_path: Path) -> None:
    damaged = telling(tmp_path / "duration.safetensors", math.nan)
    with opened([*files, damaged]) as session:
        with pytest.raises(ltx2.ModelError, match=r"duration_head.mlp_out.bias"):
            session.t2v(PROMPT, **SMALL)
        assert len(session.t2v(PROMPT, frames=9, **SMALL)) == 9
