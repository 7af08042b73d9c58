"""Sessions from Python, on a tiny model: what goes in, what comes out, how a call ends early."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

import ltx2
from ltx2 import _native
from ltx2.request import Conditions

PROMPT = "a red circle moves right"
Pictures: TypeAlias = "Conditions | Mapping[int, Conditions]"


@pytest.fixture(scope="module")
def session(tiny_model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny_model) as opened:
        yield opened


@pytest.fixture(scope="module")
def video(session: ltx2.Session) -> ltx2.Video:
    return session.t2v(PROMPT, seed=5)


# ---- what comes out


def test_a_video_has_its_shape_and_says_how_it_was_made(
    video: ltx2.Video, tiny_model: list[Path]
) -> None:
    assert video.frames.shape == (9, 64, 64, 3)
    assert video.frames.dtype == np.uint8
    assert video.frames.std() > 0
    assert video.latents is not None
    assert video.latents.shape == (8, 2, 2, 2)
    assert video.latents.dtype == np.float32
    assert np.isfinite(video.latents).all()
    assert video.fps == 24
    about = dict(video.metadata)
    parts, negative = about.pop("parts"), about.pop("negative_prompt")
    date = datetime.fromisoformat(about.pop("date"))
    assert date.tzinfo and abs(datetime.now(timezone.utc) - date) < timedelta(hours=1)
    assert about == {
        "version": ltx2.__version__,
        "variant": "dev",
        "generation": "LTX-2.3",
        "prompt": PROMPT,
        "model": ", ".join(path.name for path in tiny_model),
        "device": "CPU",
        "seed": 5,
        "width": 64,
        "height": 64,
        "frames": 9,
        "fps": 24.0,
        "audio": False,
        "recipe": "one-stage",
        "schedule": "ltx2",
        "sampler": "euler",
        "steps": 4,
        "guidance": 3.0,
        "stg": 1.0,
        "rescale": 0.7,
    }
    assert negative == ltx2.capabilities()["defaults"]["negative_prompt"]
    assert set(parts) == {"text_encoder", "projection", "connector", "dit", "video_vae"}
    assert repr(video) == "Video(64x64, 9 frames, 24 fps, seed 5)"


def test_frames_are_a_read_only_view_that_outlives_video_and_session(
    tiny_model: list[Path],
) -> None:
    with ltx2.Session(tiny_model) as session:
        video = session.t2v(PROMPT, seed=5)
    frames, latents = video.frames[2:4, ::2], video.latents
    assert latents is not None
    kept, kept_latents = frames.copy(), latents.copy()
    del session, video
    gc.collect()
    assert not frames.flags.owndata
    assert np.array_equal(frames, kept)
    assert np.array_equal(latents, kept_latents)
    for array in (frames, latents):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_the_same_seed_gives_the_same_video_and_another_another(
    session: ltx2.Session, video: ltx2.Video
) -> None:
    assert np.array_equal(session.t2v(PROMPT, seed=5).frames, video.frames)
    assert not np.array_equal(session.t2v(PROMPT, seed=6).frames, video.frames)


def test_components_that_stay_loaded_change_no_video(
    tiny_model: list[Path], video: ltx2.Video
) -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)
    loads: list[ltx2.Progress] = []
    with ltx2.Session(tiny_model, keep_loaded=True) as kept, ltx2.Session(tiny_model) as other:
        first = kept.t2v(PROMPT, seed=5)
        continued = kept.i2v(PROMPT, {0: picture, 8: picture}, seed=5, width=96)
        again = kept.t2v(PROMPT, seed=5, progress=loads.append)
        expected = other.i2v(PROMPT, {0: picture, 8: picture}, seed=5, width=96)
    assert np.array_equal(first.frames, video.frames)
    assert np.array_equal(continued.frames, expected.frames)
    assert np.array_equal(again.frames, video.frames)
    assert "load" not in {progress.stage for progress in loads}


def test_low_memory_changes_no_video(tiny_model: list[Path], video: ltx2.Video) -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)
    with ltx2.Session(tiny_model, low_memory=True) as low, ltx2.Session(tiny_model) as other:
        assert np.array_equal(low.t2v(PROMPT, seed=5).frames, video.frames)
        given = low.i2v(PROMPT, {0: picture, 8: picture}, seed=5, width=96)
        expected = other.i2v(PROMPT, {0: picture, 8: picture}, seed=5, width=96)
    assert np.array_equal(given.frames, expected.frames)


def test_low_memory_and_keep_loaded_contradict_each_other(tiny_model: list[Path]) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match="low_memory: contradicts keep_loaded"):
        ltx2.Session(tiny_model, keep_loaded=True, low_memory=True)


LIMITED = """
import logging, resource, sys
import ltx2
logging.basicConfig(level=logging.INFO, format="%(message)s")
taken = 1024 * int(next(l for l in open("/proc/self/status") if "VmSize" in l).split()[1])
if sys.argv[1] != "0":
    resource.setrlimit(resource.RLIMIT_AS, (taken + (int(sys.argv[1]) << 20),) * 2)
with ltx2.Session(sys.argv[2:], threads=1) as session:
    video = session.t2v("a red circle", seed=5)
print(video.frames.tobytes().hex())
"""


@pytest.mark.unsanitized
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets Linux's limits")
def test_where_the_process_may_take_little_low_memory_is_chosen_and_said(
    tiny_model: list[Path],
) -> None:
    frames = []
    for limit in (0, 360):  # MiB; less than is reserved for what is not counted
        line = [sys.executable, "-c", LIMITED, str(limit), *map(str, tiny_model)]
        ran = subprocess.run(line, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stderr.count("as with low_memory") == (1 if limit else 0)
        frames.append(ran.stdout)
    assert frames[0] == frames[1]


def test_a_seed_that_is_not_given_is_random_and_reported(
    session: ltx2.Session, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ltx2"):
        first, second = session.t2v(PROMPT), session.t2v(PROMPT)
    assert first.seed is not None
    assert first.seed != second.seed
    assert f"seed {first.seed}" in caplog.text
    assert np.array_equal(session.t2v(PROMPT, seed=first.seed).frames, first.frames)


def test_a_prompt_that_is_too_long_is_cut_and_reported(
    session: ltx2.Session, caplog: pytest.LogCaptureFixture
) -> None:
    long = session.t2v("a red circle " * 1024, seed=1, negative_prompt="")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "prompt: only its first" in caplog.text
    caplog.clear()
    longer = session.t2v("a red circle " * 1024 + "moves up", seed=1, negative_prompt="")
    assert np.array_equal(long.frames, longer.frames)
    caplog.clear()
    session.t2v(PROMPT, negative_prompt="")
    assert not caplog.records
    session.t2v(PROMPT, negative_prompt="a red circle " * 1024)
    assert "negative prompt: only its first" in caplog.text


def test_noise_replaces_the_seed_and_latents_are_handed_out_before_they_are_decoded(
    session: ltx2.Session, video: ltx2.Video
) -> None:
    assert video.latents is not None
    noise = np.random.default_rng(0).standard_normal(video.latents.shape)
    kept: list[NDArray[np.float32]] = []
    first = session.t2v(PROMPT, noise=noise.astype(np.float32), seed=1, latents=kept.append)
    second = session.t2v(PROMPT, noise=noise.astype(np.float32), seed=2)
    assert np.array_equal(first.frames, second.frames)
    assert not np.array_equal(first.frames, video.frames)
    assert first.latents is not None
    assert len(kept) == 1 and np.array_equal(kept[0], first.latents)


def test_latents_that_were_kept_are_decoded_alone(session: ltx2.Session, video: ltx2.Video) -> None:
    assert video.latents is not None
    seen: list[ltx2.Progress] = []
    again = session.decode(video.latents, fps=video.fps, progress=seen.append)
    assert np.array_equal(again.frames, video.frames)
    assert again.latents is not None and again.fps == video.fps
    assert np.array_equal(again.latents, video.latents)
    assert {progress.stage for progress in seen} == {"load", "decode"}
    again.frames.copy(), repr(again)  # without a seed
    assert session.decode(video.latents).fps == 24  # the model's own
    wrong = np.zeros((7, 2, 2, 2), np.float32)
    for latents, words in (
        (wrong[0], "latents: 3 dimensions"),
        (wrong, "latents: 7 channels, and the model's have 8"),
        (np.zeros((8, 0, 2, 2), np.float32), "latents: 0 x 2 x 2"),
        (np.full((8, 2, 2, 2), np.nan, np.float32), "latents: hold a value that is not finite"),
    ):
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            session.decode(latents)
    with pytest.raises(ltx2.InvalidArgumentError, match="fps: 0 cannot be used"):
        session.decode(video.latents, fps=0)


def test_what_would_be_the_default_to_c_is_refused(session: ltx2.Session) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ltx2.InvalidArgumentError, match="fps: 1e-60 is too small"):
        session.plan("a", fps=1e-60)
    with pytest.raises(ltx2.InvalidArgumentError, match="strength: 1e-60 is not above 0"):
        session.plan("a", (picture, 1e-60))


def test_what_latents_raises_stops_the_call_before_decoding(session: ltx2.Session) -> None:
    seen: list[ltx2.Progress] = []

    def full(_: NDArray[np.float32]) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        session.t2v(PROMPT, latents=full, progress=seen.append)
    assert "decode" not in {progress.stage for progress in seen}


def test_options_reach_the_library(session: ltx2.Session, video: ltx2.Video) -> None:
    wide = session.t2v(PROMPT, seed=5, width=96, height=32, frames=17, fps=12.5, steps=2)
    assert wide.frames.shape == (17, 32, 96, 3)
    assert wide.fps == 12.5
    assert wide.metadata["steps"] == 2
    same = session.t2v(PROMPT, seed=5, negative_prompt=None).frames  # the default, as left out
    assert np.array_equal(same, video.frames)
    for changed in (
        {"guidance": 5.0},
        {"negative_prompt": "blue"},
        {"negative_prompt": ""},  # nothing, which is not the default
        {"stg": 0},  # off, which is not the model's own
        {"schedule": "linear_quadratic"},
    ):
        assert not np.array_equal(session.t2v(PROMPT, seed=5, **changed).frames, video.frames)


# ---- pictures


def test_a_picture_at_a_frame_changes_the_video(session: ltx2.Session, video: ltx2.Video) -> None:
    picture = np.zeros((80, 100, 3), np.uint8)
    picture[20:60, 30:70] = (255, 0, 0)
    ways: list[tuple[str, Pictures, int]] = [
        ("first", picture, 33),
        ("same", {0: picture}, 33),
        ("weak", (picture, 0.5), 33),
        ("raw", picture, 0),
        ("last", {8: picture}, 33),
        ("both", {0: picture, 8: (picture, 1.0)}, 33),
    ]
    made: dict[str, NDArray[np.float32]] = {}
    for name, image, crf in ways:
        latents = session.i2v(PROMPT, image, seed=5, crf=crf).latents
        assert latents is not None
        made[name] = latents
    assert video.latents is not None
    assert np.array_equal(made["first"], made.pop("same"))
    different = [*made.values(), video.latents]
    for index, one in enumerate(different):
        assert not any(np.array_equal(one, other) for other in different[index + 1 :])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("none.png", "no such file"),
        ({}, "none"),
        ((np.zeros((8, 8, 3), np.uint8), 0), "strength: 0"),
        ((np.zeros((8, 8, 3), np.uint8), 1.5), "strength: 1.5"),
        ((np.zeros((8, 8, 3), np.uint8), 10**400), "strength: 1000"),
        ({9: np.zeros((8, 8, 3), np.uint8)}, "9"),
        ({-1: np.zeros((8, 8, 3), np.uint8)}, "-1"),
    ],
)
def test_pictures_that_cannot_be_used_are_refused(
    session: ltx2.Session, image: Pictures, words: str
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        session.i2v(PROMPT, image)


# ---- arguments


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 500}, "500"),
        ({"width": -64}, "-64"),
        ({"width": 0}, "width: 0"),
        ({"width": 2**40}, "width"),
        ({"width": "wide"}, "width"),
        ({"frames": 48}, "48"),
        ({"fps": float("nan")}, "fps"),
        ({"seed": -1}, "seed: -1"),
        ({"seed": 2**64}, "seed"),
        ({"schedule": "warp"}, "warp"),
        ({"negative_prompt": "a\0b"}, "NUL"),
        ({"noise": np.zeros((1, 2), np.float32)}, "noise"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused_by_name(
    session: ltx2.Session, options: ltx2.Options, words: str
) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        session.t2v(PROMPT, **options)


def test_prompts_that_are_no_text_are_refused(session: ltx2.Session) -> None:
    for prompt in ("", "a\0b", "\ud800", None):
        with pytest.raises(ltx2.InvalidArgumentError, match="prompt"):
            session.t2v(prompt)  # type: ignore[arg-type]


def test_an_unknown_option_is_a_type_error(session: ltx2.Session) -> None:
    with pytest.raises(TypeError, match="colour"):
        session.t2v(PROMPT, colour="red")  # type: ignore[call-arg]


def test_models_and_devices_that_are_none_are_refused(
    tiny_model: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ltx2.ModelError, match="none"):
        ltx2.Session(tmp_path / "none.gguf")
    with pytest.raises(ltx2.DeviceError, match="Abacus0"):
        ltx2.Session(tiny_model, device="Abacus0")
    with pytest.raises(ltx2.InvalidArgumentError):
        ltx2.Session([])


def test_devices_and_files_are_described(tiny_model: list[Path]) -> None:
    assert "CPU" in ltx2.devices()
    about = ltx2.describe(tiny_model[0])
    assert about["file"] == str(tiny_model[0])
    assert about["problem"] is None
    needed = [part["id"] for part in about["parts"] if part["need"] == "always"]
    assert needed == ["projection", "connector", "dit", "video_vae"]
    others = {part["id"]: part["need"] for part in about["parts"] if part["need"] != "always"}
    assert others == dict.fromkeys(
        ["audio_projection", "audio_dit", "audio_vae", "vocoder"], "optional"
    )
    assert about["metadata"]["model_version"] == "2.3.0"
    assert set(about["metadata"]["config"]) == {"begins", "length"}
    shapes = {tensor["name"]: tensor["shape"] for tensor in about["tensor_list"]}
    assert len(shapes) == about["tensors"]
    assert shapes["vae.decoder.conv_in.conv.weight"] == [64, 8, 3, 3, 3]
    assert sum(kind["bytes"] for kind in about["types"].values()) == about["bytes"]
    with pytest.raises(ltx2.ModelError):
        ltx2.describe(__file__)


def test_capabilities_are_listed() -> None:
    known = ltx2.capabilities()
    assert known["version"] == ltx2.__version__
    assert known["schedules"][:2] == ["distilled", "ltx2"]
    assert known["stages"] == [
        "load", "enhance", "text", "image", "denoise", "upscale", "decode", "sound",
    ]  # fmt: skip
    assert {"q4_0", "f16"} < set(known["types"])
    assert set(known["variants"]) == {"distilled", "dev"}
    assert known["instruction_sets"]
    ids = [part["id"] for part in known["parts"]]
    assert len(set(ids)) == len(ids)
    assert [part["id"] for part in known["parts"] if part["need"] == "always"] == [
        "text_encoder", "projection", "connector", "dit", "video_vae",
    ]  # fmt: skip


def test_the_header_states_the_defaults_that_hold() -> None:
    words = _native.sentences("ltx2_video_params")
    defaults = ltx2.capabilities()["defaults"]
    assert "blurred" in defaults.pop("negative_prompt")
    for name, value in defaults.items():
        assert f"the model's own, {value:g}" in words[name], name
    assert "the model's own, 24" in _native.sentences("ltx2_decode_params")["fps"]


# ---- how a call ends early


def test_progress_names_the_stages_in_order(session: ltx2.Session) -> None:
    seen: list[ltx2.Progress] = []
    session.t2v(PROMPT, progress=seen.append)
    stages = list(dict.fromkeys(progress.stage for progress in seen))
    assert [stage for stage in stages if stage != "load"] == ["text", "denoise", "decode"]
    assert all(0 <= progress.done <= progress.total for progress in seen)
    passed = [progress.seconds for progress in seen]
    assert passed[0] >= 0 and passed == sorted(passed)
    last = {progress.stage: progress for progress in seen}["denoise"]
    assert (last.done, last.left) == (last.total, 0)
    with pytest.raises(AttributeError):
        seen[0].done = 3  # type: ignore[misc]


@pytest.mark.parametrize("stage", ["text", "denoise", "decode"])
def test_an_exception_in_progress_reaches_the_caller_unchanged(
    session: ltx2.Session, video: ltx2.Video, stage: str
) -> None:
    error = LookupError("mine")

    def fails(progress: ltx2.Progress) -> None:
        if progress.stage == stage:
            raise error

    with pytest.raises(LookupError) as raised:
        session.t2v(PROMPT, progress=fails)
    assert raised.value is error
    assert np.array_equal(session.t2v(PROMPT, seed=5).frames, video.frames)


def test_cancel_stops_the_call_from_another_thread(
    session: ltx2.Session, video: ltx2.Video
) -> None:
    calls: list[str] = []

    def cancels(progress: ltx2.Progress) -> None:
        calls.append(progress.stage)
        if progress.stage == "denoise":
            thread = threading.Thread(target=session.cancel)
            thread.start()
            thread.join()

    with pytest.raises(ltx2.CancelledError):
        session.t2v(PROMPT, progress=cancels)
    assert calls.count("denoise") == 1
    session.cancel()  # nothing under way: nothing happens
    assert np.array_equal(session.t2v(PROMPT, seed=5).frames, video.frames)


def test_ctrl_c_stops_a_call_that_has_no_progress_function(session: ltx2.Session) -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        session.t2v(PROMPT, frames=257, steps=1000)
    timer.join()


def test_a_session_is_not_entered_again_from_its_own_progress(session: ltx2.Session) -> None:
    def again(_: ltx2.Progress) -> None:
        session.t2v(PROMPT)

    with pytest.raises(ltx2.InvalidArgumentError, match="in use"):
        session.t2v(PROMPT, progress=again)
    with pytest.raises(ltx2.InvalidArgumentError, match="in use"):
        session.t2v(PROMPT, progress=lambda _: session.close())


def test_a_closed_session_says_so(tiny_model: list[Path]) -> None:
    session = ltx2.Session(tiny_model)
    session.close()
    session.close()
    with pytest.raises(ltx2.InvalidArgumentError, match="closed"):
        session.t2v(PROMPT)


def test_threads_share_a_session_and_sessions_run_side_by_side(
    session: ltx2.Session, video: ltx2.Video, tiny_model: list[Path]
) -> None:
    with ltx2.Session(tiny_model) as other:
        results: list[ltx2.Video] = []
        threads = [
            threading.Thread(target=lambda s=s: results.append(s.t2v(PROMPT, seed=5)))
            for s in (session, session, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 3
    assert all(np.array_equal(result.frames, video.frames) for result in results)
