"""What is kept of a run: jobs that go on, features of a prompt, clips made again."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors_file import read_safetensors, write_safetensors

import ltx2
from ltx2 import cli, clips, media, tensors
from ltx2.jobs import Job

PROMPT = "a red circle moves right"
SMALL: dict[str, Any] = {"width": 64, "height": 64, "frames": 17, "steps": 4, "seed": 3}
GUIDED: dict[str, Any] = {**SMALL, "guidance": 3.0, "stg": 0.5, "rescale": 0.7}


@pytest.fixture(scope="module")
def session(tiny_model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny_model, threads=1) as opened:
        yield opened


def pictures() -> dict[int, Any]:
    draw = np.random.default_rng(0)
    first, middle, last = draw.integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    return {0: (first, 0.6), 8: (middle, 0.5), 16: last}


def same(one: ltx2.Video, other: ltx2.Video) -> bool:
    assert one.latents is not None
    assert other.latents is not None
    return np.array_equal(one.frames, other.frames) and np.array_equal(one.latents, other.latents)


class StoppedError(Exception):
    pass


def stop_at(step: int, total: int = 4) -> Any:
    """A progress function; at `total` it is the decoder that is stopped."""

    def progress(p: ltx2.Progress) -> None:
        if (p.stage, p.done) == ("denoise", step) or (step == total and p.stage == "decode"):
            raise StoppedError

    return progress


@pytest.mark.parametrize("step", [0, 1, 3, 4])
@pytest.mark.parametrize("kind", ["t2v", "i2v"])
def test_a_job_goes_on_to_the_same_bits(
    kind: str, step: int, session: ltx2.Session, tiny_model: list[Path], tmp_path: Path
) -> None:
    """From noise, between steps, and before the decoder; with other threads."""

    def make(**more: Any) -> ltx2.Video:
        if kind == "t2v":
            return session.t2v(PROMPT, **GUIDED, **more)
        return session.i2v(PROMPT, pictures(), crf=20, **SMALL, **more)

    job = tmp_path / "clip.job"
    with pytest.raises(StoppedError):
        make(job=job, progress=stop_at(step))
    assert Job.load(job).request.step == step
    stages: list[str] = []
    with ltx2.Session(tiny_model, threads=2) as other:
        video = other.resume(job, progress=lambda p: stages.append(p.stage))
    whole = make()
    assert same(video, whole)
    assert {**video.metadata, "date": None} == {**whole.metadata, "date": None}
    assert "text" not in stages
    assert ("denoise" in stages) == (step < 4)


@pytest.mark.parametrize("sampler", ltx2.capabilities()["samplers"])
def test_a_job_of_every_sampler_goes_on_to_the_same_bits(
    sampler: str, session: ltx2.Session, tmp_path: Path
) -> None:
    options: dict[str, Any] = {**SMALL, "steps": 4, "schedule": "ltx2", "sampler": sampler}
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, **options, job=tmp_path / "clip.job", progress=stop_at(2))
    video = session.resume(tmp_path / "clip.job")
    assert same(video, session.t2v(PROMPT, **options))
    assert video.metadata["sampler"] == sampler


def test_a_job_goes_on_with_other_arithmetic(
    session: ltx2.Session, tiny_model: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on another device: ggml's operations stand in for those of a GPU."""
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, **GUIDED, job=tmp_path / "clip.job", progress=stop_at(2))
    whole = session.t2v(PROMPT, **GUIDED)
    monkeypatch.setenv("LTX2_PLAIN_OPS", "1")
    with ltx2.Session(tiny_model) as other:
        video = other.resume(tmp_path / "clip.job")
    assert whole.latents is not None
    assert video.latents is not None
    assert not np.array_equal(video.latents, whole.latents)
    error = ((video.latents - whole.latents) ** 2).sum() / (whole.latents**2).sum()
    assert error < 6e-8  # four times what was measured: 1.5e-8


def test_a_job_is_as_good_as_none(session: ltx2.Session, tmp_path: Path) -> None:
    job = tmp_path / "clip.job"
    assert same(session.t2v(PROMPT, **GUIDED, job=job), session.t2v(PROMPT, **GUIDED))
    with pytest.raises(ltx2.InvalidArgumentError, match="there already"):
        session.t2v(PROMPT, **GUIDED, job=job)


def test_given_noise_is_in_the_job(session: ltx2.Session, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((8, 3, 2, 2)).astype(np.float32)
    job = tmp_path / "clip.job"
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, **SMALL, noise=noise, job=job, progress=stop_at(0))
    assert same(session.resume(job), session.t2v(PROMPT, **SMALL, noise=noise))


def test_a_job_goes_on_with_its_own_model_only(
    session: ltx2.Session, tiny: dict[str, Path], tmp_path: Path
) -> None:
    """Not with one of other shapes, nor one that differs in the weights of its queries alone."""
    job = tmp_path / "clip.job"
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, **SMALL, job=job, progress=stop_at(2))
    kept = job.read_bytes()
    weights, metadata = read_safetensors(tiny["base"])
    for name, (dtype, values) in weights.items():
        if name.endswith("attn1.to_q.weight"):
            weights[name] = (dtype, 2 * values)
    tuned = write_safetensors(tmp_path / "tuned.safetensors", weights, metadata)
    for file in (tiny["distilled"], tuned):
        with (
            ltx2.Session([file, tiny["base"].parent / "gemma"]) as other,
            pytest.raises(
                ltx2.InvalidArgumentError,
                match=r"begun with another diffusion transformer; go on with the model in ",
            ),
        ):
            other.resume(job)
    assert job.read_bytes() == kept


def test_a_job_with_features_goes_on_with_another_text_encoder(
    session: ltx2.Session,
    tiny_model: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Or with none: what the prompt became is in the job."""
    job = tmp_path / "clip.job"
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, **SMALL, job=job, progress=stop_at(2))
    whole = session.t2v(PROMPT, **SMALL)
    caplog.clear()
    with ltx2.Session(tiny_model[0]) as without:
        assert same(without.resume(job), whole)
    assert not caplog.records


@pytest.mark.parametrize("saves", [1, 3])
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ltx2.InvalidArgumentError("no folder")],
)
def test_a_disk_that_fills_does_not_stop_the_run(
    error: Exception,
    saves: int,
    session: ltx2.Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Saved are: the run as it begins, with the encoded prompt, after the first step."""
    job, write, calls = tmp_path / "clip.job", tensors.write, []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) > saves:
            raise error
        write(*arguments)

    monkeypatch.setattr(tensors, "write", full)
    video = session.t2v(PROMPT, **SMALL, job=job)
    monkeypatch.undo()
    warned = [r.getMessage() for r in caplog.records if r.getMessage().startswith("job: step ")]
    assert len(warned) == 6 - saves
    kept = Job.load(job).request
    assert (kept.step, kept.features is None) == ((0, True) if saves == 1 else (1, False))
    assert same(session.resume(job), video)


# ---- files of strangers


@pytest.fixture(scope="module")
def job_file(session: ltx2.Session, folder: Path) -> Path:
    job = folder / "stranger.job"
    with pytest.raises(StoppedError):
        session.i2v(PROMPT, pictures(), **SMALL, job=job, progress=stop_at(1))
    return job


def test_what_is_no_job_is_refused_in_one_line(job_file: Path, tmp_path: Path) -> None:
    """Cut anywhere, or with any byte changed."""
    whole, path = job_file.read_bytes(), tmp_path / "bad.job"
    header = int.from_bytes(whole[:8], "little")
    draw = np.random.default_rng(0)
    damaged = [whole[:length] for length in draw.integers(0, len(whole), 50)]
    damaged += [
        whole[:place] + bytes([whole[place] ^ int(draw.integers(1, 256))]) + whole[place + 1 :]
        for place in [*draw.integers(0, header + 8, 300), *draw.integers(0, len(whole), 100)]
    ]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(ltx2.InvalidArgumentError, match="is no job file: ") as caught:
            Job.load(path)
        assert str(caught.value).startswith(str(path))
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"width": [64], "seed": 1}}, "width"),
        ({"settings": {"width": 64}}, "seed"),
        ({"settings": {**SMALL, "width": 10**30}}, "out of range"),
        ({"settings": {**SMALL, "width": 65}}, "multiple of 32"),
        ({"settings": {**SMALL, "frames": 25}}, "another video"),
        ({"prompt": 3}, "what was asked"),
        ({"step": 5}, "resume.step"),
        ({"step": 10**12}, "out of range"),
        ({"step": True}, "no job"),
        ({"model": "one"}, "no job"),
        ({"images": [{"frame": 0}]}, "which images"),
        ({"crf": "x"}, "which images"),
        ({"parts": {"dit": 1}}, "fingerprints"),
    ],
)
def test_a_job_of_other_words_is_refused(
    change: dict[str, Any], words: str, session: ltx2.Session, job_file: Path, tmp_path: Path
) -> None:
    about, arrays = tensors.read(job_file, "job")
    tensors.write(tmp_path / "bad.job", "job", {**about, **change}, arrays)
    with pytest.raises(ltx2.InvalidArgumentError, match=words):
        session.resume(tmp_path / "bad.job")


@pytest.mark.parametrize("name", ["state", "features", "image1"])
def test_a_job_of_other_arrays_is_refused(
    name: str, session: ltx2.Session, job_file: Path, tmp_path: Path
) -> None:
    about, arrays = tensors.read(job_file, "job")
    for change in (np.full_like(arrays[name], np.nan, np.float32), arrays[name][:-1].copy()):
        if name == "image1" and change.dtype == np.uint8:
            continue  # a picture of another size is one
        tensors.write(tmp_path / "bad.job", "job", about, {**arrays, name: change})
        if name == "features" and np.isfinite(change).all():
            continue  # any number of rows is read
        with pytest.raises(ltx2.InvalidArgumentError):
            session.resume(tmp_path / "bad.job")


def test_a_header_that_claims_much_takes_nothing(tmp_path: Path) -> None:
    entry = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    for header in (
        {"__metadata__": {"ltx2": "job", "about": "{}"}, "state": entry},
        {"__metadata__": {"ltx2": "job", "about": "[" * 100_000}},
        {"__metadata__": {"ltx2": "job", "about": '{"a": NaN}'}},
    ):
        text = json.dumps(header).encode()
        (tmp_path / "bad.job").write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(ltx2.InvalidArgumentError, match="is no job file"):
            Job.load(tmp_path / "bad.job")


# ---- features


def test_a_prompt_once_encoded_needs_no_text_encoder(
    session: ltx2.Session, tiny_model: list[Path], tmp_path: Path
) -> None:
    features = session.encode(PROMPT, guidance=3.0)
    features.save(tmp_path / "prompt.features")
    again = ltx2.Features.load(tmp_path / "prompt.features")
    assert again.prompt == PROMPT
    assert np.array_equal(again.values, features.values)
    whole = session.t2v(PROMPT, **GUIDED)
    with ltx2.Session(tiny_model[0]) as without:
        video = without.t2v(again, **GUIDED)
        assert same(video, whole)
        assert video.metadata["prompt"] == PROMPT
        assert video.metadata["negative_prompt"] == whole.metadata["negative_prompt"]
        with pytest.raises(ltx2.ModelError, match=r"model: no text encoder in .*; give Gemma 3"):
            without.t2v(PROMPT, **GUIDED)
        with pytest.raises(ltx2.ModelError, match="no text encoder"):
            without.encode(PROMPT)
        with pytest.raises(ltx2.InvalidArgumentError, match="have it already"):
            without.t2v(again, negative_prompt="blue")


def test_features_must_fit_the_video_and_the_model(session: ltx2.Session, tmp_path: Path) -> None:
    plain = session.encode(PROMPT, guidance=1.0)
    assert plain.negative is None
    with pytest.raises(ltx2.InvalidArgumentError, match="hold no negative prompt"):
        session.t2v(plain, **GUIDED)
    wide = ltx2.Features(PROMPT, None, np.zeros((8, 7), np.float32))
    with pytest.raises(ltx2.InvalidArgumentError, match="rows have 7 values, and the model reads"):
        session.t2v(wide, **{**SMALL, "guidance": 1.0})
    broken = ltx2.Features(PROMPT, None, np.full_like(plain.values, np.inf))
    with pytest.raises(ltx2.InvalidArgumentError, match="not finite"):
        session.t2v(broken, **{**SMALL, "guidance": 1.0})
    (tmp_path / "x").write_text("no features\n")
    with pytest.raises(ltx2.InvalidArgumentError, match="is no features file"):
        ltx2.Features.load(tmp_path / "x")


# ---- clips made again


@pytest.mark.parametrize("ending", [".mp4", ".gif", ".webp", ".png"])
def test_a_clip_is_made_again_from_its_file(
    ending: str, session: ltx2.Session, tmp_path: Path
) -> None:
    """Also where the settings were left to the model."""
    video = session.t2v(PROMPT, **(GUIDED if ending == ".mp4" else {"seed": 5, "steps": 2}))
    video.save(tmp_path / f"clip{ending}")
    again = session.replay(tmp_path / f"clip{ending}")
    assert same(again, video)
    assert {**again.metadata, "date": None} == {**video.metadata, "date": None}


def test_a_clip_of_pictures_asks_for_them(session: ltx2.Session, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    files = [tmp_path / name for name in ("one.png", "two.png")]
    for file in files:
        ltx2.Video(draw.integers(0, 255, (1, 64, 64, 3), dtype=np.uint8), 1).save(file)
    one, two = files
    video = session.i2v(PROMPT, {0: one, 8: (two, 0.5)}, crf=20, **SMALL)
    video.save(tmp_path / "clip.gif")
    assert same(session.replay(tmp_path / "clip.gif", [two, one]), video)
    with pytest.raises(ltx2.InvalidArgumentError, match=r"give two\.png \(frame 8, SHA-256"):
        session.replay(tmp_path / "clip.gif", [one])
    with pytest.raises(ltx2.InvalidArgumentError, match="is not a picture that"):
        session.replay(tmp_path / "clip.gif", [one, two, tmp_path / "clip.gif"])


def test_a_picture_can_be_at_two_frames(session: ltx2.Session, tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (1, 64, 64, 3), dtype=np.uint8)
    one = tmp_path / "one.png"
    ltx2.Video(picture, 1).save(one)
    video = session.i2v(PROMPT, {0: one, 16: (one, 0.5)}, **SMALL)
    video.save(tmp_path / "clip.webp")
    assert same(session.replay(tmp_path / "clip.webp", one), video)


def test_a_clip_of_another_model_is_made_with_a_warning(
    session: ltx2.Session,
    tiny: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    session.t2v(PROMPT, **SMALL).save(tmp_path / "clip.gif")
    assert not caplog.records
    with ltx2.Session([tiny["odd"], tiny["odd"].parent / "gemma"]) as other:
        other.replay(tmp_path / "clip.gif")
    assert any("made with another" in record.getMessage() for record in caplog.records)


def test_what_says_nothing_cannot_be_made_again(session: ltx2.Session, tmp_path: Path) -> None:
    frames = np.zeros((1, 32, 32, 3), np.uint8)
    stranger = {"prompt": PROMPT, "seed": 1, "width": [1]}
    for name, metadata, words in (
        ("a.gif", {}, "does not say"),
        ("b.gif", {"model": "x"}, "does not say how it was made"),
        ("c.gif", {"prompt": PROMPT}, "which seed"),
        ("d.gif", stranger, "width"),
        ("e.gif", {"prompt": PROMPT, "seed": 1, "noise_sha256": "0"}, "noise of its own"),
        ("f.npy", {"prompt": PROMPT, "seed": 1}, "does not say"),
    ):
        ltx2.Video(frames, 8, metadata=metadata).save(tmp_path / name)
        with pytest.raises(ltx2.InvalidArgumentError, match=words):
            session.replay(tmp_path / name)
    with pytest.raises(ltx2.InvalidArgumentError, match="no such file"):
        session.replay(tmp_path / "none.mp4")


# ---- the commands


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: list[Path]) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTX2_MODEL", os.pathsep.join(map(str, tiny_model)))
    logger = logging.getLogger("ltx2")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    monkeypatch.setattr(logger, "level", logger.level)
    return tmp_path


def test_a_job_goes_when_the_video_is_saved(place: Path, session: ltx2.Session) -> None:
    words = ["--steps", "2", "--seed", "3"]
    assert cli.main(["t2v", PROMPT, "-o", "a.npy", "--job", "a.job", *words]) == 0
    assert os.listdir(place) == ["a.npy"]  # noqa: PTH208
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, steps=2, seed=3, job=("b.job", "b.npy"), progress=stop_at(1, total=2))
    Path("b.npy").touch()
    assert cli.main(["resume", "b.job"]) == 2  # which is there
    Path("b.npy").unlink()
    assert cli.main(["resume", "b.job"]) == 0
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    assert sorted(os.listdir(place)) == ["a.npy", "b.npy"]  # noqa: PTH208


def test_a_folder_of_frames_that_is_there_by_now_stays(
    place: Path, session: ltx2.Session, capsys: pytest.CaptureFixture[str]
) -> None:
    job, frame = ("b.job", "frames/%04d.png"), Path("frames/0000.png")
    with pytest.raises(StoppedError):
        session.t2v(PROMPT, steps=2, seed=3, job=job, progress=stop_at(1, total=2))
    frame.parent.mkdir()
    frame.write_text("mine")
    assert cli.main(["resume", "b.job"]) == 2
    assert "is there already; -o" in capsys.readouterr().err
    assert frame.read_text() == "mine"


def test_a_job_knows_where_it_went_on(place: Path, tiny_model: list[Path]) -> None:
    """Its model and its clip may be elsewhere by then; and it is stopped again."""
    (moved := Path("moved")).mkdir()
    model = [shutil.copy(tiny_model[0], "model.safetensors"), str(tiny_model[1])]
    with ltx2.Session(model) as session, pytest.raises(StoppedError):
        session.t2v(PROMPT, **SMALL, job=("b.job", "b.npy"), progress=stop_at(1))
    model[0] = shutil.move(model[0], "moved")
    with ltx2.Session(model) as session, pytest.raises(StoppedError):
        session.resume(("b.job", "c.npy"), progress=stop_at(2))
    begun = Job.load("b.job")
    assert begun.output == str(place / "c.npy")
    assert begun.model == [str(moved.absolute() / "model.safetensors"), model[1]]
    Path("clips").mkdir()
    assert cli.main(["resume", "b.job", "-o", "clips"]) == 0
    assert os.listdir("clips") == ["a-red-circle-moves-right-3.mp4"]  # noqa: PTH208


def test_latents_are_kept_elsewhere_where_the_disk_fills(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = media.array_writer

    def full(path: Any) -> Any:
        def write(_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

        return write if Path(path).name == "kept.npy" else real(path)

    monkeypatch.setattr(media, "array_writer", full)
    words = ["--steps", "2", "--seed", "3", "--save-latents", "kept.npy"]
    assert cli.main(["t2v", PROMPT, "-o", "a.npy", *words]) == 0
    assert re.search(r"latents: .*No space left.*they are kept in", capsys.readouterr().err)
    (kept,) = place.glob("ltx2-latents-*.npy")
    assert cli.main(["decode", str(kept), "-o", "b.npy"]) == 0
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


def test_encode_and_features_in_the_shell(
    place: Path, tiny_model: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prompt.png").mkdir()
    assert cli.main(["encode", PROMPT, "-o", "p.features"]) == 0
    shutil.rmtree("prompt.png")
    words = ["--steps", "2", "--seed", "3", "-o"]
    assert cli.main(["t2v", PROMPT, *words, "a.npy"]) == 0
    model = ["--model", str(tiny_model[0])]
    assert cli.main(["t2v", "--features", "p.features", *words, "b.npy", *model]) == 0
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    capsys.readouterr()
    assert cli.main(["t2v", PROMPT, "--features", "p.features", *words, "c.npy"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert cli.main(["t2v", "--features", "a.npy", *words, "c.npy"]) == 2
    assert cli.main(["t2v", PROMPT, *words, "c.npy", *model]) == 3
    assert "no text encoder" in capsys.readouterr().err


def test_replay_in_the_shell(place: Path) -> None:
    assert cli.main(["t2v", PROMPT, "-o", "a.gif", "--seed", "3", "--steps", "2"]) == 0
    assert cli.main(["replay", "a.gif", "-o", "b.gif"]) == 0
    first, again = (clips.frames(name)[0] for name in ("a.gif", "b.gif"))
    assert np.array_equal(first, again)
    assert cli.main(["replay", "none.gif", "-o", "c.gif"]) == 2
