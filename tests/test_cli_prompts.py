"""Prompts that come from elsewhere: from stdin, or many from a file. All of it with the demo."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pseudo_terminal import on_terminal
from test_cli_outputs import PROMPT, SMALL, run

import ltx2

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What comes on stdin."""
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))
    return stream


def test_a_prompt_comes_from_stdin(capsys: pytest.CaptureFixture[str], typed: io.BytesIO) -> None:
    typed.write(b"  ein roter Kreis\n")
    typed.seek(0)
    code, out, _ = run(capsys, "t2v", "-", "-o", "a.gif", "--json", *SMALL)
    assert (code, json.loads(out)["prompt"]) == (0, "ein roter Kreis")
    for wrong, words in ((b"\xff\xfe", "prompt: -: "), (b"a" * 2**20 + b"b", "is longer than")):
        typed.seek(0)
        typed.truncate()
        typed.write(wrong)
        typed.seek(0)
        code, _, err = run(capsys, "t2v", "-", "-o", "a.gif", *SMALL)
        assert (code, words in err) == (2, True)


LINES = """\
a red circle

{"prompt": "a blue\u2028square", "seed": 3, "width": 96, "output": "square.webp"}
{"prompt": "a green bar", "wdith": 64}
{"prompt": "a green bar", "width": "64"}
{"prompt": "a green bar", "width": true}
{"prompt": "a green bar", "width": 65}
{"prompt": "a green bar", "output": "none/a.mp4"}
{"prompt": "a green bar", "duration": NaN, "fps": 1e400}
{"width": 64}
{"prompt": "a green bar"
{"prompt": "a white star", "duration": 2, "fps": 8, "seed": -1}
{"prompt": "a blue square", "image": {"8": ["square.png", 0.5]}, "crf": 0, "seed": 4}
"""


def test_a_clip_of_each_line_and_what_fails_does_not_keep_the_others_back(
    capsys: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[dict[str, Any]] = []
    real = ltx2.Session.__init__

    def counted(session: ltx2.Session, *arguments: Any, **options: Any) -> None:
        opened.append(options)
        real(session, *arguments, **options)

    monkeypatch.setattr(ltx2.Session, "__init__", counted)
    Path("prompts.txt").write_text(LINES, encoding="utf-8-sig")
    Path("clips").mkdir()
    Image.new("RGB", (64, 64), "blue").save("square.png")
    code, out, err = run(
        capsys, "t2v", "--prompts", "prompts.txt", "-o", "clips/", "--json", "--seed", 5, *SMALL
    )
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    made = [answer for answer in answers if "output" in answer]
    assert [answer["prompt"] for answer in made] == [
        "a red circle",
        "a blue\u2028square",
        "a white star",
        "a blue square",
    ]
    assert made[0]["output"] == "clips/a-red-circle-5.mp4"
    assert (made[1]["output"], made[1]["seed"], made[1]["width"]) == ("square.webp", 3, 96)
    assert (made[2]["frames"], made[2]["width"]) == (17, 64)
    assert made[2]["seed"] != 5
    assert [(image["name"], image["frame"]) for image in made[3]["images"]] == [("square.png", 8)]
    failed = {answer["line"]: answer["error"]["message"] for answer in answers if "line" in answer}
    for line, words in {
        4: "wdith: is none of prompt, output, ",
        5: "width: '64' is no whole number",
        6: "width: True is no whole number",
        7: "width: 65",
        8: "there is no folder",
        9: "nan is no finite number",
        10: "has no prompt",
        11: "is no JSON object",
    }.items():
        assert words in failed.pop(line)
        assert f"ltx2: line {line}: " in err
    assert not failed
    assert err.endswith("ltx2: 8 of 12 clips failed\n")
    assert opened[-1]["keep_loaded"]
    assert sorted(os.listdir(place)) == [  # noqa: PTH208
        "clips", "prompts.txt", "square.png", "square.webp",
    ]  # fmt: skip
    assert len(list(place.glob("clips/*.mp4"))) == 3


def test_no_line_replaces_what_another_made_or_reads(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    Path("frames.png").mkdir()
    Image.new("RGB", (64, 64), "blue").save("frames.png/0000.png")
    before = Path("frames.png/0000.png").read_bytes()
    rows: list[dict[str, Any]] = [
        {"prompt": "a red circle", "output": "a.gif"},
        {"prompt": "a blue square", "output": "./a.gif"},
        {"prompt": "a blue square", "output": "frames.png"},
        {"prompt": "a blue square", "image": ["frames.png/0000.png", 0.5], "output": "b.gif"},
        {"prompt": "a red circle", "frames": 1, "output": "first.png"},
        {"prompt": "a red circle", "image": "first.png", "output": "c.gif"},
        {"prompt": "a red circle", "output": "nul\0.gif"},
        {"prompt": "a red circle", "output": "half\ud800.gif"},
    ]
    Path("prompts.txt").write_text("\n".join(map(json.dumps, rows)))
    code, out, err = run(capsys, "t2v", "--prompts", "prompts.txt", "--seed", 1, *SMALL)
    assert (code, out.split()) == (2, ["a.gif", "b.gif", "first.png", "c.gif"])
    assert "line 2: output: ./a.gif: line 1 made it; name another\n" in err
    assert "line 3: output: frames.png: line 4 reads it; name another\n" in err
    assert err.count(": is no path: ") == 2
    assert ltx2.media.read_metadata("a.gif")["prompt"] == "a red circle"
    assert Path("frames.png/0000.png").read_bytes() == before


def test_a_line_says_itself_how_it_is_enhanced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    t2v = ltx2.Session.t2v

    def seen(session: ltx2.Session, prompt: str, **options: Any) -> ltx2.Video:
        given.append(options.pop("enhance", None))
        return t2v(session, prompt, **options)

    monkeypatch.setattr(ltx2.Session, "t2v", seen)
    Path("how.txt").write_text("be brief")
    lines = [
        json.dumps({"prompt": "a", "enhance": how}) for how in (None, True, False, {"seed": 3})
    ]
    Path("prompts.txt").write_text("\n".join(lines))
    words = ("t2v", "--prompts", "prompts.txt", "--enhance-instructions", "how.txt", "--seed", 1)
    assert run(capsys, *words, *SMALL)[0] == 0
    kept = [how and {name: how[name] for name in how if name != "text"} for how in given]
    assert kept == [{"instructions": "be brief"}, {"instructions": "be brief"}, None, {"seed": 3}]


def test_prompts_come_from_stdin_too(capsys: pytest.CaptureFixture[str], typed: io.BytesIO) -> None:
    typed.write(b"a red circle\na blue square\n")
    typed.seek(0)
    code, out, _ = run(capsys, "t2v", "--prompts", "-", "--seed", 1, *SMALL)
    assert (code, out) == (0, "a-red-circle-1.mp4\na-blue-square-1.mp4\n")


def test_ctrl_c_ends_all_of_them(
    capsys: pytest.CaptureFixture[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    t2v = ltx2.Session.t2v

    def stopped(session: ltx2.Session, prompt: str, **options: Any) -> ltx2.Video:
        if prompt == "second":
            raise KeyboardInterrupt
        return t2v(session, prompt, **options)

    monkeypatch.setattr(ltx2.Session, "t2v", stopped)
    Path("prompts.txt").write_text("first\nsecond\nthird\n")
    code, out, err = run(capsys, "t2v", "--prompts", "prompts.txt", "--seed", 1, *SMALL)
    assert (code, out) == (130, "first-1.mp4\n")
    assert err.endswith("ltx2: cancelled\n")
    assert sorted(os.listdir(place)) == ["first-1.mp4", "prompts.txt"]  # noqa: PTH208


def test_what_nobody_expected_of_a_line_does_not_keep_the_others_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    t2v = ltx2.Session.t2v

    def defective(session: ltx2.Session, prompt: str, **options: Any) -> ltx2.Video:
        if prompt == "first":
            raise LookupError("mine")
        return t2v(session, prompt, **options)

    monkeypatch.setattr(ltx2.Session, "t2v", defective)
    Path("prompts.txt").write_text("first\nsecond\n")
    words = ("t2v", "--prompts", "prompts.txt", "--seed", 1, "-v", *SMALL)
    code, out, err = run(capsys, *words)
    assert (code, out) == (70, "second-1.mp4\n")
    assert "ltx2: line 1: internal: LookupError: mine; please report it\n" in err
    assert "in defective" in err


@pytest.mark.usefixtures("command")
def test_a_clip_that_is_not_to_be_replaced_does_not_keep_the_others_back(place: Path) -> None:
    Path("a.npy").write_text("old")
    line = json.dumps({"prompt": "first", "output": "a.npy"})
    Path("prompts.txt").write_text(f"{line}\nsecond\n")
    words = ["ltx2", "t2v", "--prompts", "prompts.txt", "--seed", "1", *SMALL]
    code, out, seen = on_terminal(words, place, typed="n\n")
    assert (code, out) == (130, "second-1.mp4\n")
    assert "line 1: a.npy: is there, and stays" in seen
    assert Path("a.npy").read_text() == "old"


@pytest.mark.usefixtures("command")
@pytest.mark.skipif(sys.platform == "win32", reason="pipes there tell nobody that they are closed")
def test_a_reader_that_has_left_ends_all_of_them(place: Path) -> None:
    Path("prompts.txt").write_text("first\nsecond\n")
    words = ["ltx2", "t2v", "--prompts", "prompts.txt", "--seed", "1", *SMALL]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, check=False, timeout=120)
    os.close(write)
    assert (ended.returncode, b"Broken pipe" in ended.stderr) == (141, False)
    assert sorted(os.listdir(place)) == ["first-1.mp4", "prompts.txt"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-o", "a.mp4"], "with --prompts name a folder"),
        (["--job", "a.job"], "--job names one file"),
        (["--preview", "a.png"], "--preview names one file"),
        (["--save-latents", "a.npy"], "--save-latents names one file"),
        ([PROMPT], "in place of PROMPT"),
    ],
)
def test_what_many_clips_cannot_have_is_refused(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("prompts.txt").write_text("a red circle\n")
    code, out, err = run(capsys, "t2v", *flags, "--prompts", "prompts.txt")
    assert (code, out) == (2, "")
    assert words in err
    assert run(capsys, "t2v", "--prompts", "none.txt")[0] == 6


def test_a_model_that_takes_much_of_the_memory_is_not_kept(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bool] = []
    real, plan = ltx2.Session.__init__, ltx2.Session.plan
    memory = 0

    def counted(session: ltx2.Session, *arguments: Any, **options: Any) -> None:
        kept.append(options["keep_loaded"])
        real(session, *arguments, **options)

    monkeypatch.setattr(ltx2.Session, "__init__", counted)
    monkeypatch.setattr(
        ltx2.Session, "plan", lambda *a, **o: {**plan(*a, **o), "available": memory}
    )
    Path("prompts.txt").write_text("a red circle\n")
    model = [word for path in tiny_model for word in ("--model", path)]
    for memory, keeps in ((0, False), (1 << 40, True)):  # noqa: B007 - the plan reads it
        code, _, _ = run(capsys, "t2v", "--prompts", "prompts.txt", "--steps", 1, *model)
        assert (code, kept[-1]) == (0, keeps)
