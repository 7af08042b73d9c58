"""Words from outside: nothing of them reaches a terminal but what can be seen."""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors_file import write_safetensors

import ltx2
from ltx2 import cli
from ltx2.text import json_line, visible

# escape, C1, newlines, a separator of lines, bidirectional overrides, a zero width, a surrogate
EVIL = (
    "a\x1b[31m\x9b2J\r\n\t\x00\x7f\x85\u2028\u202e\u2066\u200f\u061c\u200b\ufeff\udce9\U000e0041z"
)
NAME = EVIL.replace("\x00", "")  # as a file may be named


def test_visible_text_is_one_line_of_printable_characters() -> None:
    assert visible(EVIL).isprintable()
    assert visible("a\x1b\n\u202e\udce9\x9b") == r"a\x1b\n\u202e\udce9\x9b"
    same = "Ein Löwe, 一只猫, קוף, 😀, C:\\new 'quoted' \"text\""
    assert visible(same) == same


def test_every_character_is_shown_or_escaped() -> None:
    codes = [*range(0x3100), *range(0xD700, 0x10100), *range(0xE0000, 0xE0200), sys.maxunicode]
    shown = visible("".join(map(chr, codes)))
    assert shown.isprintable()
    shown.encode()  # no surrogate is left


def test_json_is_printable_ascii_and_loses_nothing() -> None:
    line = json_line({EVIL: [EVIL]})
    assert line.isascii() and line.isprintable()
    assert json.loads(line) == {EVIL: [EVIL]}


@pytest.mark.parametrize("kind", [ltx2.Error, ltx2.InvalidArgumentError, ltx2.OutOfMemoryError])
def test_the_text_of_an_error_is_visible(kind: type[ltx2.Error]) -> None:
    assert str(kind(EVIL)) == visible(EVIL)
    assert isinstance(kind("x"), ltx2.Error) and str(kind()) == ""


def test_errors_of_the_library_and_of_python_are_visible(tmp_path: Path) -> None:
    for attempt in (
        lambda: ltx2.describe(tmp_path / NAME),
        lambda: ltx2.Session(tmp_path / NAME),
        lambda: ltx2.Session(device=NAME.replace("\udce9", "")),
        lambda: ltx2.Video(np.zeros((1, 2, 2, 3), np.uint8), 24).save(tmp_path / (NAME + ".x")),
    ):
        with pytest.raises(ltx2.Error) as raised:
            attempt()
        assert r"a\x1b[31m" in str(raised.value)
        assert str(raised.value).isprintable()


def test_messages_to_the_log_are_visible(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("ltx2").warning("%s: odd", EVIL)
    logging.getLogger("ltx2").warning("%d: plain", 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"{visible(EVIL)}: odd",
        "3: plain",
    ]


# ---- the command


@pytest.fixture
def evil_model(tmp_path: Path) -> Path:
    """Names, metadata and tensors, all as bad as they can be."""
    text = NAME.replace("\udce9", "")
    tensors = {text: ("F32", np.zeros((2, 2), np.float32))}
    path = tmp_path / f"{NAME}.safetensors"
    return write_safetensors(path, tensors, {text: text})


def ran(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The command, and what it printed; fails if any of its lines can do more than be seen."""
    code = cli.main([str(argument) for argument in arguments])
    printed = capfd.readouterr()
    for line in f"{printed.out}{printed.err}".split("\n"):
        assert line.isprintable(), line
    return code, printed.out, printed.err


def test_info_is_visible(evil_model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capfd, "info", evil_model)
    assert code == 0
    lines = out.splitlines()
    known = ("file: ", "format: ", "parts: ", "problem: ", "tensors: ", "parameters: ", "bytes: ",
             "part ", "type ", "license: ", "metadata ", "tensor ", "run: ")  # fmt: skip
    assert [line for line in lines[1:] if not line.startswith(known)] == []
    assert any(line.startswith(r"tensor a\x1b[31m") for line in lines)
    assert any(line.startswith(r"metadata a\x1b[31m") for line in lines)
    code, out, _ = ran(capfd, "info", "--json", evil_model)
    assert out.isascii()
    (about,) = json.loads(out)["files"].values()
    assert about["tensor_list"][0]["name"] == NAME.replace("\udce9", "")


@pytest.mark.usefixtures("model")
def test_errors_and_messages_of_the_command_are_visible(
    evil_model: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evil_model.parent)
    for line in (
        ["t2v", "p", "-o", NAME],
        ["t2v", NAME, "-o", "a.npy"],  # not valid Unicode
        ["t2v", "p", "-o", "a.npy", "--model", evil_model],
        ["t2v", "p", "-o", "a.npy", "--device", NAME.replace("\udce9", "")],
        ["t2v", "p", "-o", "a.npy", "--schedule", NAME],
        ["t2v", "p", "-o", "a.npy", "--width", NAME],
        ["t2v", "p", "-o", "a.npy", "--noise", NAME],
        ["i2v", "p", NAME, "-o", "a.npy"],
        ["decode", NAME, "-o", "a.npy"],
        ["convert", NAME, "-o", "a.gguf"],
        ["convert", evil_model, "-o", "a.gguf"],
        ["info", NAME],
        [NAME],
        ["t2v", f"--{NAME}"],
    ):
        code, out, err = ran(capfd, *line)
        assert code in (2, 3, 5), (line, err)
        assert (out, err.count("\n")) == ("", 1)


@pytest.mark.usefixtures("command", "model")
def test_the_answer_is_exact_to_a_program_and_visible_on_a_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{NAME}.npy"
    line = [
        "t2v",
        "a",
        "-o",
        name,
        "--frames=1",
        "--steps=1",
        "--width=32",
        "--height=32",
        "--no-audio",
    ]
    code, out, _ = ran(capfd, *line, "--json")
    assert (code, json.loads(out)["output"]) == (0, name)
    done = subprocess.run(["ltx2", *line], stdout=subprocess.PIPE, check=True)
    assert done.stdout == os.fsencode(name) + b"\n"
    assert on_terminal(["ltx2", *line], tmp_path).strip() == visible(name)


def on_terminal(line: list[str], folder: Path) -> str:
    """What stdout shows there."""
    fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    subprocess.run(line, cwd=folder, stdout=theirs, check=True)
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    return text


def test_a_defect_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    for error, words in ((LookupError(EVIL), "LookupError: a"), (MuteError(), "MuteError: MuteE")):

        def fails(error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(ltx2, "try_devices", fails)
        assert cli.main(["devices"]) == 70
        err = capsys.readouterr().err
        assert err.startswith(f"ltx2: internal: {words}") and err.endswith("; please report it\n")
        assert err[:-1].isprintable()
