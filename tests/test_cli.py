"""The command line: what it prints where, and which code it ends with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltx2
from ltx2 import cli, formats, media
from ltx2.commands.generate import parse_image

PROMPT = "a red circle moves right"
SMALL = ["--frames", "9", "--width", "128", "--height", "128", "--no-audio"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_t2v_prints_the_path_on_stdout_and_the_seed_on_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str
) -> None:
    target = tmp_path / "clip.npy"
    code, out, err = run(capsys, "t2v", PROMPT, "-o", target, "--seed", 7, *SMALL)
    assert (code, out) == (0, f"{target}\n")
    assert re.fullmatch(r"ltx2: demo model \(.*\) on \w+: .*, 9 frames at .*, seed 7\n", err)
    assert np.load(target).shape[0] == 9


@pytest.mark.usefixtures("model")
def test_a_warning_is_said_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Though the trial of the output gives it, and the save."""
    target = tmp_path / "clip.gif"
    code, _, err = run(capsys, "t2v", PROMPT, "-o", target, "--fps", 60, *SMALL)
    assert code == 0
    assert err.count("frames are left out") == 1
    assert err.startswith("ltx2: fps: 60 ")  # before the work


def test_every_option_arrives_as_in_python(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_model: list[Path]
) -> None:
    noise = np.random.default_rng(0).standard_normal((8, 2, 2, 2)).astype(np.float32)
    np.save(tmp_path / "noise.npy", noise)
    options: dict[str, Any] = {
        "negative_prompt": "blue", "width": 64, "height": 64, "frames": 9, "fps": 12.0, "steps": 3,
        "guidance": 2.0, "seed": 3, "stg": 0.5, "rescale": 0.25, "schedule": "linear_quadratic",
    }  # fmt: skip
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    models = [part for path in tiny_model for part in ("--model", path)]
    target = tmp_path / "clip.npy"
    code, out, _ = run(
        capsys, "t2v", PROMPT, "-o", target, "--json", *flags, *models,
        "--noise", tmp_path / "noise.npy", "--latents", tmp_path / "latents.npy",
    )  # fmt: skip
    assert code == 0
    answer = json.loads(out)
    assert answer["output"] == str(target)
    assert {name: answer[name] for name in options} == options
    with ltx2.Session(tiny_model) as session:
        video = session.t2v(PROMPT, noise=noise, **options)
    assert np.array_equal(np.load(target), video.frames)
    assert video.latents is not None
    assert np.array_equal(np.load(tmp_path / "latents.npy"), video.latents)

    again = tmp_path / "again.npy"
    for rate, words in ((["--fps", 12], "of its video\n"), ([], "and no rate: the model's own")):
        code, out, err = run(
            capsys, "decode", tmp_path / "latents.npy", "-o", again, "-y", *rate, *models
        )
        assert (code, out) == (0, f"{again}\n")
        assert np.array_equal(np.load(again), video.frames)
        assert "latents.npy: holds no sound " in err
        assert words in err


@pytest.mark.usefixtures("model")
def test_latents_that_cannot_be_written_are_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "none" / "x.npy", tmp_path / ("x" * 300)):
        code, out, err = run(
            capsys, "t2v", PROMPT, "-o", tmp_path / "clip.npy", "--save-latents", path
        )
        assert (code, out) == (2, "")
        assert str(path) in err
    assert not list(tmp_path.iterdir())


def test_i2v_takes_pictures_at_frames(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_model: list[Path]
) -> None:
    with ltx2.Session(tiny_model) as session:
        session.t2v(PROMPT).save(tmp_path / "in.png")
        first, last = (media.read_image(tmp_path / "in.png" / f"{i:04}.png") for i in (0, 8))
        video = session.i2v(PROMPT, {0: first, 8: (last, 0.5)}, crf=20, seed=3)
    models = [part for path in tiny_model for part in ("--model", path)]
    images = [tmp_path / "in.png" / "0000.png", f"{tmp_path}/in.png/0008.png@8:0.5"]
    target = tmp_path / "clip.npy"
    code, _, _ = run(
        capsys, "i2v", PROMPT, *images, "-o", target, "--crf", 20, "--seed", 3, *models
    )  # fmt: skip
    assert code == 0
    assert np.array_equal(np.load(target), video.frames)
    images = [(image["frame"], image["strength"]) for image in video.metadata["images"]]
    assert images == [(0, 1.0), (8, 0.5)]
    assert video.metadata["crf"] == 20


def test_an_image_argument_is_path_frame_and_strength(tmp_path: Path) -> None:
    assert parse_image("a.png") == (0, ("a.png", 1.0))
    assert parse_image("a.png@24") == (24, ("a.png", 1.0))
    assert parse_image("a@b.png@24:.5") == (24, ("a@b.png", 0.5))
    assert parse_image("me@home.png") == (0, ("me@home.png", 1.0))
    named = tmp_path / "odd@3"
    named.touch()
    assert parse_image(str(named)) == (0, (str(named), 1.0))


def test_info_and_devices(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path], tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "info", tiny_model[0])
    assert code == 0
    lines = out.splitlines()
    assert lines[:3] == [str(tiny_model[0]), f"file: {tiny_model[0]}", "format: safetensors"]
    assert lines[3].startswith("parts: projection, connector, dit, video_vae, ")
    assert lines[3].endswith(", audio_projection, audio_dit, audio_vae, vocoder")
    assert 'metadata model_version: "2.3.0"' in lines
    assert "tensor vae.decoder.conv_in.conv.bias: F32 [64]" in lines
    code, out, _ = run(capsys, "info", "--json", tiny_model[0])
    about = json.loads(out)
    assert about["files"] == {str(tiny_model[0]): ltx2.describe(tiny_model[0])}
    assert about["run"] is None
    assert about["problem"].startswith(f"model: no text encoder in {tiny_model[0]}; give Gemma 3")
    assert f"run: {about['problem']}" in lines
    code, out, _ = run(capsys, "devices")
    assert [line.split(": ")[0] for line in out.splitlines()] == ltx2.devices()
    assert "billion multiply-adds a second" in out
    code, out, _ = run(capsys, "devices", "--json")
    assert [device["name"] for device in json.loads(out)] == ltx2.devices()


def test_a_device_that_does_not_say_what_is_free_is_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = {**ltx2.try_devices()[0], "memory": 2**33, "memory_free": None}
    monkeypatch.setattr(ltx2, "try_devices", lambda: [mute])
    code, out, _ = run(capsys, "devices")
    assert code == 0
    assert ", 8.0 GiB, " in out


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"ltx2, version {ltx2.__version__}\n", "")
    for arguments in ([], ["--help"], ["t2v", "--help"]):
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: ltx2")


@pytest.fixture
def bad(tmp_path: Path, tiny: dict[str, Path]) -> Path:
    """A folder of things that are not what they seem."""
    (tmp_path / "text.gguf").write_text("Dear reader, this is no model.\n")
    (tmp_path / "text.png").write_text("Dear reader, this is no picture.\n")
    data = tiny["base"].read_bytes()
    (tmp_path / "truncated.safetensors").write_bytes(data[: len(data) // 2])
    (tmp_path / "stub.safetensors").write_bytes(data[:1000])
    (tmp_path / "empty.gguf").touch()
    np.savez(tmp_path / "arrays.npz", noise=np.zeros((8, 2, 2, 2), np.float32))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "complex.npy", np.zeros((8, 2, 2, 2), complex))
    numbers = tmp_path / "numbers.npy"
    np.save(numbers, np.zeros((8, 2, 2, 2), np.float32))
    (tmp_path / "damaged.npy").write_bytes(numbers.read_bytes().replace(b"}", b" "))
    numbers.unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("t2v -o a.mp4", 2, "PROMPT"),
        ("nonsense", 2, "nonsense"),
        ("t2v p -o a.mp4 --width wide", 2, "--width"),
        ("t2v p -o a.mp4 --width 500", 2, "500"),
        ("t2v p -o a.mp4 --width 501", 2, "width: 501 is not a multiple"),
        ("t2v p -o a.mp4 --width 0", 2, "width: 0"),
        ("t2v p -o a.mp4 --width -32", 2, "width: -32 is not a multiple"),
        ("t2v p -o a.mp4 --width 999968 --height 999968", 2, "width: 999968 is not a multiple"),
        ("t2v p -o a.gif --fps nan", 2, "nan is no rate such as 24"),
        ("t2v p -o a.gif --fps inf --duration 5s", 2, "inf is no rate such as 24"),
        (f"t2v p -o a.gif --fps 1{'0' * 400}/1", 2, "is no rate such as 24"),
        (f"t2v p -o a.gif --duration {'9' * 400}s", 2, "is no duration such as 5s"),
        ("t2v p -o a.mp4 --frames 48", 2, "48"),
        ("t2v p -o a.mp4 --seed -2", 2, "seed"),
        ("t2v p -o a.mp4 --seed one", 2, "one is no whole number"),
        ("t2v p -o a.mp4 --fps 24/0", 2, "24/0 is no rate"),
        ("t2v p -o a.mp4 --duration long", 2, "long is no duration such as 5s"),
        ("t2v p -o a.mp4 --duration 5s --frames 9", 2, "in place of --frames"),
        ("t2v p -o a.mp4 --schedule warp", 2, "warp"),
        ("t2v '' -o a.mp4", 2, "prompt"),
        ("t2v p -o a.avi", 2, "a.avi"),
        ("t2v p -o none/a.mp4", 2, "none"),
        ("t2v p -o -", 2, "-: its ending is not one of"),
        ("t2v p -o a.wav --no-audio", 2, "a.wav: the video has no sound, and .wav holds nothing"),
        ("t2v p -o a.wav", 3, "audio: the model makes no sound, for lack of"),
        ("demo p -o a.wav --no-open", 3, "audio: the model makes no sound, for lack of"),
        ("t2v p -o a.npy --latents ./a.npy", 2, "--save-latents names the output"),
        ("t2v p -o a.mp4 --noise none.npy", 2, "none.npy"),
        ("t2v p -o a.mp4 --noise text.png", 2, "text.png"),
        ("t2v p -o a.mp4 --noise arrays.npz", 2, "noise: arrays.npz"),
        ("t2v p -o a.mp4 --noise words.npy", 2, "noise: holds <U1, not numbers"),
        ("t2v p -o a.mp4 --noise damaged.npy", 2, "noise: damaged.npy"),
        ("decode arrays.npz -o a.mp4", 2, "latents: arrays.npz"),
        ("decode words.npy -o a.mp4", 2, "latents: holds <U1, not numbers"),
        ("decode complex.npy -o a.mp4", 2, "latents: holds complex128"),
        ("decode damaged.npy -o a.mp4", 2, "latents: damaged.npy"),
        ("decode none.npy -o a.mp4", 2, "none.npy"),
        ("t2v p -o a.mp4 --model none.gguf", 3, "none.gguf"),
        ("t2v p -o a.mp4 --model text.gguf", 3, "text.gguf"),
        ("t2v p -o a.mp4 --model empty.gguf", 3, "empty.gguf"),
        ("t2v p -o a.mp4 --model truncated.safetensors", 3, "truncated.safetensors"),
        ("t2v p -o a.mp4 --model stub.safetensors", 3, "stub.safetensors"),
        ("t2v p -o a.mp4 --device Abacus0", 5, "Abacus0"),
        ("t2v p -o a.mp4 --lora text.gguf --lora ./text.gguf:2", 2, "one of them is given twice"),
        ("i2v p -o a.mp4", 2, "IMAGE"),
        ("i2v p none.png -o a.mp4", 2, "none.png"),
        (f"i2v p in.png@{10**20} -o a.mp4", 2, f"in.png@{10**20}: no video has a frame 100000000"),
        (f"i2v p in.png@{'9' * 5000} -o a.mp4", 2, "no video has a frame 999999999..."),
        ("i2v p text.png -o a.mp4", 2, "text.png"),
        ("i2v p text.png text.png -o a.mp4", 2, "two images"),
        ("i2v p text.png@0:2 -o a.mp4", 2, "strength"),
        ("i2v p text.png --crf 99 -o a.mp4", 2, "text.png"),
        ("info none.gguf", 3, "none.gguf"),
        ("info text.gguf", 3, "text.gguf"),
        ("info truncated.safetensors", 3, "truncated.safetensors"),
        ("convert none.safetensors -o a.gguf", 3, "none.safetensors"),
        ("convert truncated.safetensors -o a.gguf", 3, "truncated.safetensors"),
        ("convert text.gguf -o a.gguf --type q9", 2, "q9"),
    ],
)
def test_bad_input_is_one_clear_line_and_its_code(
    arguments: str,
    code: int,
    words: str,
    bad: Path,
    model: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(bad)
    before = sorted(bad.iterdir())
    given = [argument.strip("'") for argument in arguments.split()]
    have, out, err = run(capsys, *given)
    assert (have, out) == (code, ""), err
    assert err.startswith("ltx2: ")
    assert err.count("\n") == 1
    assert words in err
    assert sorted(bad.iterdir()) == before


def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str
) -> None:
    if Path("/proc/self").exists():
        target = Path("/proc/clip.mp4")  # even root makes no files there
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "clip.mp4"
    code, out, err = run(capsys, "t2v", PROMPT, "-o", target, "-v")
    assert (code, out) == (2, "")
    assert "cannot be written" in err
    assert "seed" not in err


@pytest.mark.parametrize("largest", [10**9, 10**5, 0])
def test_what_a_full_disk_refuses_is_kept_and_can_be_used(
    largest: int,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The frames; where only a small file fits, the latents; where nothing does, it is said."""
    write_npy = formats.write_npy

    def full(_path: Path, frames: Any, *_: Any) -> None:
        if len(frames) > 1:  # a trial is not
            raise OSError(28, "No space left on device")

    def fills(path: Path, array: Any, *rest: Any) -> None:
        if array.nbytes > largest:
            full(path, array)
        write_npy(path, array, *rest)

    monkeypatch.setattr(formats, "write_npy", fills)
    monkeypatch.setitem(formats.WRITERS, ".gif", full)
    words = ["-o", tmp_path / "clip.gif", "--seed", 9, *SMALL]
    code, _, err = run(capsys, "t2v", PROMPT, *words)
    assert code == 6
    assert re.fullmatch(
        r"ltx2: .* on .*, seed 9\nltx2: .*(kept|be kept).*\nltx2: \[Errno 28\] could not be "
        r"written: No space left on device: '.*clip.gif'\n",
        err,
    )
    kept = list(tmp_path.iterdir())
    if not largest:
        assert not kept
        return
    assert str(kept[0]) in err
    assert kept[0].stat().st_mode & 0o777 == 0o600
    monkeypatch.undo()
    monkeypatch.setenv("LTX2_MODEL", model)
    assert run(capsys, "t2v", PROMPT, "-o", tmp_path / "want.npy", *words[2:])[0] == 0
    if "frames are kept" in err:
        have = np.load(kept[0])
    else:
        assert run(capsys, "decode", kept[0], "-o", tmp_path / "have.npy")[0] == 0
        have = np.load(tmp_path / "have.npy")
    assert ("frames are kept" in err) == (largest == 10**9)
    assert np.array_equal(have, np.load(tmp_path / "want.npy"))


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("-o a.webp --width 16416", "a.webp: could not be written: "),
        ("-o a.mp4 --width 16416", "libx264 takes no 16416x512"),
        (f"-o {'x' * 252}.mp4", "too long"),
        ("-o a.npy --width 8192 --height 8192 --frames 999999", "MiB are free"),
    ],
)
def test_what_a_save_needs_is_tried_before_the_work(
    flags: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "t2v", PROMPT, "-v", *flags.split())
    assert (code, out) == (6 if "free" in words else 2, "")
    assert words in err
    assert "seed" not in err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_with_130_and_leaves_no_file(
    tmp_path: Path, tiny_model: list[Path], command: None
) -> None:
    models = [part for path in tiny_model for part in ("--model", str(path))]
    words = ["ltx2", "t2v", "-v", PROMPT, "-o", "clip.mp4", "--frames", "257", "--steps", "1000"]
    with subprocess.Popen(
        [*words, *models], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        while "seed" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "ltx2: cancelled"
    assert not list(tmp_path.iterdir())
