"""Where the command puts clips. All of it with the demo."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pseudo_terminal import on_terminal

import ltx2
from ltx2 import cli, formats, media, sound, writer
from ltx2.commands import outputs

pytestmark = pytest.mark.usefixtures("place")

PROMPT = "A red circle, moves right!"
SMALL = ["--frames", "9", "--width", "64", "--height", "64", "--steps", "2", "--no-audio"]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What comes on stdin."""
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    return stream


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# ---- names


def test_without_a_name_a_clip_is_called_after_prompt_and_seed_and_replaces_nothing(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    names = ["a-red-circle-moves-right-7.mp4", "a-red-circle-moves-right-7-2.mp4"]
    for name in names:
        assert run(capsys, "t2v", PROMPT, "--seed", 7, *SMALL)[:2] == (0, f"{name}\n")
        assert media.read_metadata(name)["seed"] == 7
    Path("clips").mkdir()
    code, out, _ = run(capsys, "t2v", PROMPT, "--seed", 7, "-o", "clips", *SMALL)
    assert (code, out) == (0, f"clips/{names[0]}\n")
    assert run(capsys, "t2v", PROMPT, "-o", "none/", *SMALL)[0] == 2
    assert sorted(os.listdir(place)) == sorted(["clips", *names])  # noqa: PTH208


def test_a_name_that_another_run_takes_meanwhile_is_left_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = outputs._free

    def taken(stem: str) -> str:
        name = free(stem)
        if not name.endswith("-2.mp4"):
            Path(name).write_text("another's")
        return name

    monkeypatch.setattr(outputs, "_free", taken)
    monkeypatch.setattr(media, "check_output", lambda *_, **__: None)
    code, out, _ = run(capsys, "t2v", PROMPT, "--seed", 7, *SMALL)
    assert (code, out) == (0, "a-red-circle-moves-right-7-2.mp4\n")
    assert Path("a-red-circle-moves-right-7.mp4").read_text() == "another's"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_written_where_nothing_is(
    links: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", none)
    video = ltx2.Video(np.zeros((2, 32, 32, 3), np.uint8), 8)
    for name in ("a.gif", "a.png"):
        video.save(name, replace=False)
        before = Path(name).stat().st_mtime_ns
        with pytest.raises(FileExistsError, match=name):
            video.save(name, replace=False)
        assert Path(name).stat().st_mtime_ns == before
    # Also where that comes while it is written.
    with pytest.raises(FileExistsError), writer.new_file("b", replace=False) as new:  # noqa: PT012
        new.write_text("mine")
        Path("b").write_text("another's")
    with pytest.raises(FileExistsError), writer.new_folder("c", replace=False):
        Path("c").mkdir()
    assert Path("b").read_text() == "another's"
    assert sorted(os.listdir(place)) == ["a.gif", "a.png", "b", "c"]  # noqa: PTH208


def test_names_are_of_the_prompt_s_first_words() -> None:
    assert outputs.named("Ein Kätzchen läuft; schnell!", 3) == "ein-kätzchen-läuft-schnell-3"
    assert outputs.named("../../etc/passwd\n\x1b[31m", 3) == "etc-passwd-31m-3"
    assert outputs.named("word " * 50, 3) == "word-word-word-word-word-word-word-word-3"
    assert outputs.named("a" * 99) == "a" * 40
    assert outputs.named("...", 3) == "clip-3"


# ---- what is there


def test_what_is_replaced_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    words = "a.npy: is there, and is replaced once the new one is complete"
    Path("a.npy").touch()
    for more, said in (([], True), (["-y"], False), (["-q"], False)):
        code, _, err = run(capsys, "t2v", PROMPT, "-o", "a.npy", *more, *SMALL)
        assert code == 0
        assert (words in err) == said


@pytest.mark.parametrize(
    "flags",
    ["t2v p -o a.gif --preview b.png", "t2v p -o a.gif --save-latents b.npy",
     "t2v p -o a.gif --profile b.json", "encode p -o b"],
)  # fmt: skip
def test_what_is_replaced_beside_is_said_too(
    flags: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = flags.split()
    Path(words[-1]).write_text("old")
    small = SMALL if words[0] == "t2v" else []
    code, _, err = run(capsys, *words, *small)
    assert code == 0
    assert f"{words[-1]}: is there, and is replaced once" in err
    assert Path(words[-1]).read_bytes() != b"old"
    assert "is replaced" not in run(capsys, *words, *small, "-y")[2]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("i2v p cat.png -o a.mp4 --preview cat.png", "--preview would replace cat.png"),
        ("i2v p cat.png@8:0.5 -o a.mp4 --preview cat.png", "--preview would replace cat.png"),
        ("i2v p fr/0001.png -o fr/%04d.png", "-o would replace fr/0001.png"),
        ("retake p a.mp4 0-1 -o ./a.mp4", "-o would replace a.mp4"),
        ("upscale a.mp4 -o a.mp4", "-o would replace a.mp4"),
        ("decode l.npy -o l.npy", "-o would replace l.npy"),
        ("i2v a.mp4 --features l.npy -o a.mp4", "-o would replace a.mp4"),
        ("t2v p -o b.mp4 --noise l.npy --save-latents l.npy", "--save-latents would replace l.npy"),
        ("t2v -o b.mp4 --features l.npy --profile l.npy", "--profile would replace l.npy"),
        ("encode p -o l.npy --model l.npy", "-o would replace l.npy"),
        ("convert l.npy -o l.npy", "-o would replace l.npy"),
        ("t2v p -o b.mp4 --save-latents a.mp4", "--save-latents a.mp4: its ending is not .npy"),
        ("t2v p -o fr/%04d.png --preview fr/p.webp", "--preview names a file in the folder that"),
        ("t2v p -o fr/%04d.png --profile fr/p.json", "--profile names a file in the folder that"),
        ("t2v p -o fr/%04d.png --save-latents fr/l.npy", "--save-latents names a file in the"),
        ("t2v p -o fr/%04d.png --job fr/j", "--job names a file in the folder that"),
        *[(f"t2v p {flag} ''", f"Invalid value for '{flag}'") for flag in
          ("--job", "--preview", "--profile", "--save-latents", "--features", "--model")],
        ("t2v p -o ''", "Invalid value for '-o' / '--output': names no file"),
        ("encode p -o ''", "Invalid value for '-o' / '--output': names no file"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_before_the_work(
    flags: str, words: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("fr").mkdir()
    for name in ("cat.png", "fr/0001.png"):
        Image.new("RGB", (64, 64)).save(name)
    Path("a.mp4").write_text("old")
    np.save("l.npy", np.zeros((8, 2, 2, 2), np.float32))
    with ltx2.Session() as session:
        if "--features" in flags:
            session.encode("p").save("l.npy")
    before = {path: path.read_bytes() for path in place.rglob("*.*")}
    code, out, err = run(capsys, *[word.strip("'") for word in flags.split()])
    assert (code, out) == (2, "")
    assert words in err
    assert {path: path.read_bytes() for path in place.rglob("*.*")} == before


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", None])
def test_somebody_at_a_terminal_is_asked(answer: str | None, place: Path) -> None:
    Path("a.npy").write_text("old")
    words = ["ltx2", "t2v", PROMPT, "-o", "a.npy", *SMALL, *([] if answer else ["-y"])]
    code, out, seen = on_terminal(words, place, typed=answer or "")
    if answer in ("y\n", None):
        assert (code, out) == (0, "a.npy\n")
        assert np.load("a.npy").shape[0] == 9
    else:
        assert (code, out) == (130, "")
        assert Path("a.npy").read_text() == "old"
    assert ("a.npy is there; replace it?" in seen) == (answer is not None)


# ---- options


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--duration", "2s"], {"frames": 17}),
        (["--duration", "1.9", "--fps", "16"], {"frames": 33, "fps": 16.0}),
        (["--fps", "24000/1001"], {"fps": pytest.approx(23.976023976)}),
        (["--duration", "0.01s"], {"frames": 1}),
    ],
)
def test_durations_and_rates(
    flags: list[str], wanted: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small = SMALL[2:] if "--duration" in flags else SMALL
    code, out, _ = run(capsys, "t2v", PROMPT, "-o", "a.npy", "--json", *small, *flags)
    about = json.loads(out)
    assert code == 0
    assert {name: about[name] for name in wanted} == wanted
    code, out, _ = run(capsys, "plan", PROMPT, "--json", *small, *flags)
    assert json.loads(out)["frames"] == about["frames"]


def test_seed_minus_one_is_a_random_one_and_a_device_has_any_case(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seeds = set()
    for device in ("cpu", "Cpu", "AUTO"):
        code, out, _ = run(
            capsys, "t2v", PROMPT, "-o", "a.npy", "--json", "--seed", -1, "--device", device, *SMALL
        )
        assert code == 0
        seeds.add(json.loads(out)["seed"])
    assert len(seeds) == 3
    assert run(capsys, "t2v", PROMPT, "-o", "a.npy", "--save-latents", "l.npy", *SMALL)[0] == 0
    code, out, err = run(capsys, "decode", "l.npy", "-o", "a.npy", "--json", "--seed", -1)
    assert code == 0
    assert f": seed {json.loads(out)['seed']}\n" in err


def test_the_sound_of_a_video_that_cannot_be_saved_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tone = np.linspace(-0.5, 0.5, 2000, dtype="f4").reshape(-1, 2)
    video = ltx2.Video(np.zeros((1, 32, 32, 3), np.uint8), 8, audio=tone, sample_rate=8000)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats.WRITERS, ".mp4", full)
    with pytest.raises(OSError, match="No space left"):
        outputs.Output("a.mp4").save(video)
    (heard,) = place.glob("ltx2-sound-*.wav")
    assert f"the sound is kept in {heard}" in capsys.readouterr().err
    assert len(sound.read(heard).samples) == 1000
    assert len(list(place.glob("ltx2-frames-*.npy"))) == 1


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--duration", "0.01s"], 0, ""),
        (["--duration", "5s"], 2, "a.jpg: holds one picture, and the video has 41"),
        (["--duration", "5s", "--fps", "24"], 2, "a.jpg: holds one picture, and the video has 121"),
        (["--fps", "1e308", "--duration", "5s"], 2, "holds one picture"),
        ([], 2, "a.jpg: holds one picture"),
    ],
)
def test_one_picture_is_written_of_one_frame_alone(
    more: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ["--width", 64, "--height", 64, "--steps", 1]
    ended, out, err = run(capsys, "t2v", PROMPT, "-o", "a.jpg", *size, *more)
    assert (ended, out) == (code, "" if code else "a.jpg\n")
    assert words in err


def test_how_many_frames_a_video_gives_is_seen_when_it_is_read(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path]
) -> None:
    model = [word for path in tiny_model for word in ("--model", path)]
    ltx2.Video(np.zeros((1, 64, 64, 3), np.uint8), 24.0).save("one.mp4")
    flags = ["--width", 64, "--height", 64, "--steps", 1, *model]
    for name in ("a.jpg", "a.png", "a.png"):  # the second time a file is there
        assert run(capsys, "v2v", PROMPT, "one.mp4", "-o", name, *flags)[:2] == (0, f"{name}\n")
        assert Path(name).is_file()


def test_features_with_a_duration_need_no_text_encoder(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path]
) -> None:
    model = [word for path in tiny_model for word in ("--model", path)]
    assert run(capsys, "encode", PROMPT, "-o", "a.features", *model)[0] == 0
    flags = ["--width", 64, "--height", 64, "--steps", 1, "--model", tiny_model[0]]
    words = ["t2v", "--features", "a.features", "--duration", "0.4s", "-o", "a.npy", *flags]
    assert run(capsys, *words)[:2] == (0, "a.npy\n")
    assert len(np.load("a.npy")) == 9


# ---- the clip, shown and described


@pytest.mark.usefixtures("command")
def test_the_demo_is_opened_where_there_is_a_desktop(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("desktops there open files otherwise")
    opener = place / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(
        f'#!/bin/sh\necho noise\ncd "{place}" && printf %s "$1" >new && mv new shown\n'
    )
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", str(opener.parent), prepend=os.pathsep)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    t2v = ltx2.Session.t2v
    with monkeypatch.context() as patch:
        patch.setattr(ltx2.Session, "t2v", lambda *a, **o: t2v(*a, **o, frames=1, audio=False))
        for desktop, flag in (("", "-q"), (":0", "--no-open")):
            patch.setenv("DISPLAY", desktop)
            assert cli.main(["demo", "--seed", "3", flag]) == 0
    assert not (place / "shown").exists()
    monkeypatch.setenv("DISPLAY", ":0")
    done = subprocess.run(["ltx2", "demo", "-q"], capture_output=True, text=True, check=True)
    assert media.read_metadata(done.stdout.strip())["variant"] == "demo"
    for _ in range(600):  # it is not waited for
        if (place / "shown").exists():
            break
        time.sleep(0.1)
    assert (place / "shown").read_text() == str(place / done.stdout.strip())


def test_info_of_clips_is_what_they_were_made_with(capsys: pytest.CaptureFixture[str]) -> None:
    Path("clips").mkdir()
    names = ["clips/a.webm", "clips/b.gif", "clips/c.png"]
    for name in names:
        assert run(capsys, "t2v", PROMPT, "-o", name, "--seed", 7, *SMALL)[0] == 0
    Path("clips/d.mp4").write_text("no clip")
    code, out, _ = run(capsys, "info", "clips", names[2], "--json")
    about = json.loads(out)
    assert (code, about["files"], about["run"], about["problem"]) == (0, {}, None, None)
    clips = about["clips"]
    assert set(clips) == {*names, "clips/d.mp4"}
    assert all(clips[name]["recipe"]["prompt"] == PROMPT for name in names)
    assert "does not say how it was made" in clips["clips/d.mp4"]["problem"]
    code, out, _ = run(capsys, "info", names[0])
    assert out.splitlines()[0] == names[0]
    assert f"prompt: {json.dumps(PROMPT)}" in out.splitlines()
    assert "seed: 7" in out.splitlines()
    code, _, err = run(capsys, "info", *names, "--verify")
    assert (code, "--verify compares checksums of model files" in err) == (2, True)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_what_is_no_number_of_json_is_no_recipe(
    number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    about = PngInfo()
    about.add_text("comment", f'{{"prompt": "a", "guidance": {number}}}')
    Image.new("RGB", (64, 64)).save("a.png", pnginfo=about)
    code, out, _ = run(capsys, "info", "a.png", "--json")
    assert code == 0
    assert not any(word in out for word in ("NaN,", "Infinity,", "NaN}", "Infinity}"))
    assert f"{number} is no finite number" in json.loads(out)["clips"]["a.png"]["problem"]


def test_info_of_a_model_says_what_it_does_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    from ltx2.model_files import demo_files

    code, out, _ = run(capsys, "info", *demo_files(), "--json")
    with ltx2.Session() as session:
        assert json.loads(out)["model"] == {"variant": "demo", **session.defaults}
        assert session.t2v(PROMPT, steps=1, frames=1).fps == session.defaults["fps"]
    code, out, _ = run(capsys, "info", *demo_files())
    assert (code, "variant: demo" in out.splitlines()) == (0, True)
