"""What a command says of its run: before, meanwhile, after, and when it fails."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pseudo_terminal import on_terminal
from safetensors_file import read_safetensors, write_safetensors

import ltx2
from ltx2 import cli, media
from ltx2.commands import plans

pytestmark = pytest.mark.usefixtures("place")

PROMPT = "a red circle moves right"
SMALL = ["--frames", "9", "--seed", "7", "--no-audio"]
DEMO = [*SMALL, "--width", "128", "--height", "128"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def named(*paths: Path) -> list[str]:
    return [word for path in paths for word in ("--model", str(path))]


def test_a_run_begins_with_what_will_be_done(
    capsys: pytest.CaptureFixture[str], tiny: dict[str, Path]
) -> None:
    for name, kind, steps, guidance in (
        ("base", "dev", 4, "guidance 3"),
        ("distilled", "distilled", 8, "no guidance"),
    ):
        model = [tiny[name], tiny[name].parent / "gemma"]
        code, _, err = run(capsys, "t2v", PROMPT, "-o", f"{name}.npy", *SMALL, *named(*model))
        files = f"{tiny[name].name}, gemma"
        want = f"{kind} model ({files}) on CPU: 64x64, 9 frames at 24 a second, {steps} steps, "
        assert code == 0
        assert err.splitlines()[0] == f"ltx2: LTX-2.3 {want}{guidance}, seed 7"


def test_that_dev_is_assumed_is_a_warning_before(
    capsys: pytest.CaptureFixture[str], tiny: dict[str, Path], tmp_path: Path
) -> None:
    tensors, metadata = read_safetensors(tiny["base"])
    config = json.loads(metadata["config"])
    del config["sampling"]
    model = tmp_path / "unnamed.safetensors"
    write_safetensors(model, tensors, {**metadata, "config": json.dumps(config)})
    code, _, err = run(
        capsys, "t2v", PROMPT, "-o", "a.npy", "-q", "--width", 64, "--height", 64, "--steps", 1,
        *SMALL, *named(model, tiny["base"].parent / "gemma"),
    )  # fmt: skip
    assert code == 0
    assert "nothing tells whether it is a distilled or a dev model; dev is assumed" in err
    assert "on CPU" not in err  # -q: a warning, and nothing else
    assert err.count("\n") == 1


@pytest.mark.usefixtures("model")
def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "t2v", PROMPT, "-o", "a.npy", "-q", *DEMO) == (0, "a.npy\n", "")
    code, _, err = run(capsys, "t2v", PROMPT, "-o", "b.npy", "-v", *DEMO)
    assert code == 0
    stages = r"text [\d.:]+( s)?, denoise [\d.:]+( s)?, decode [\d.:]+( s)?"
    assert re.search(rf"^ltx2: (load [\d.:]+( s)?, )?{stages}; peak memory", err, re.MULTILINE)


def test_long_work_begins_with_its_time_and_memory(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "LONG", 0.0)
    code, _, err = run(capsys, "t2v", PROMPT, "-o", "a.npy", *SMALL, *named(*tiny_model))
    assert code == 0
    assert re.match(r"ltx2: LTX-2.3 dev model .*, seed 7; about [\d.:]+.*; \d+ MiB of memory", err)


@pytest.mark.usefixtures("command")
def test_progress_is_one_line_for_the_whole_run(
    place: Path, tiny_model: list[Path], model: str
) -> None:
    words = ["ltx2", "t2v", PROMPT, "-o", "clip.npy", *DEMO]
    for more in ([], named(*tiny_model)):  # without a plan, and with one
        code, out, seen = on_terminal([*words, "-y", *more], place)
        assert (code, out) == (0, "clip.npy\n")
        first, line, rest = seen.split("\r\n")
        assert first.startswith("ltx2: ") and not rest
        states = [state.replace("\x1b[A", "") for state in line.split("\r") if state.strip()]
        for stage in ("text", "denoise", "decode"):
            assert any(state.strip().startswith(stage) for state in states)
        assert all(re.search(r"\d+%\|.*\| \d+/\d+", state) for state in states)
        assert "100%" in states[-1]
        assert any(re.search(r"denoise .*\d+/\d+, .*(a second|each), .* left", s) for s in states)
        assert ("left of this stage" in line) == (not more)
    assert on_terminal([*words, "-y", "-q"], place).seen == ""


def test_the_file_says_all_that_the_video_was_made_with(
    capsys: pytest.CaptureFixture[str], tiny_model: list[Path]
) -> None:
    code, out, _ = run(capsys, "t2v", PROMPT, "-o", "a.gif", "--json", *SMALL, *named(*tiny_model))
    about = json.loads(out)
    assert code == 0
    assert about.pop("output") == "a.gif"
    assert media.read_metadata("a.gif") == about
    own = {"prompt", "model", "generation", "variant", "device", "parts", "version", "date"}
    unused = {
        "noise", "audio_guidance", "modality_guidance", "refine_sigmas", "generated_keyframes",
        "temporal_upscalings",
    }  # fmt: skip # of one's own, of sound, of a second stage, of LTX-2.5
    assert about.keys() == own | ltx2.Options.__annotations__.keys() - unused
    assert about["version"] == ltx2.__version__


def test_with_a_stated_date_files_are_the_same_byte_for_byte(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LTX2_MODEL", raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    for name in ("a.gif", "b.gif"):
        assert run(capsys, "t2v", PROMPT, "-o", name, *DEMO)[0] == 0
    assert media.read_metadata("a.gif")["date"] == "2001-09-09T01:46:40+00:00"
    assert Path("a.gif").read_bytes() == Path("b.gif").read_bytes()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert run(capsys, "t2v", PROMPT, "-o", "a.gif", *DEMO)[0] == 0
    assert media.read_metadata("a.gif")["date"] > "2026"


@pytest.mark.parametrize(
    ("arguments", "code", "kind", "words"),
    [
        ("t2v p -o a.avi", 2, "InvalidArgumentError", "a.avi"),
        ("t2v p --nonsense", 2, "NoSuchOption", "--nonsense"),
        ("t2v p -o a.npy --model none.gguf", 3, "ModelError", "none.gguf"),
        ("t2v p -o a.npy --device Abacus0", 5, "DeviceError", "Abacus0"),
        ("info none.gguf", 3, "ModelError", "none.gguf"),
    ],
)
@pytest.mark.usefixtures("model")
def test_an_error_is_an_object_too_with_json(
    arguments: str, code: int, kind: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    have, out, err = run(capsys, *arguments.split(), "--json")
    error: dict[str, Any] = json.loads(out)["error"]
    assert have == error["exit_code"] == code
    assert error["type"] == kind
    assert words in error["message"]
    assert err.endswith(f"ltx2: {error['message']}\n")


def test_a_defect_is_an_object_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(ltx2, "try_devices", broken)
    code, out, err = run(capsys, "devices", "--json")
    words = "internal: RuntimeError: two lines; please report it"
    error = {"type": "RuntimeError", "message": words, "exit_code": 70}
    assert (code, json.loads(out), err) == (70, {"error": error}, f"ltx2: {words}\n")


@pytest.mark.usefixtures("command")
def test_words_for_a_shell_that_completes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    def said(**variables: str) -> str:
        environment = {**os.environ, **variables}
        return subprocess.run(
            ["ltx2"], cwd=place, env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert "complete" in said(_LTX2_COMPLETE="zsh_source")
    given = said(_LTX2_COMPLETE="bash_complete", COMP_WORDS="ltx2 t2v --sch", COMP_CWORD="2")
    assert given == "plain,--schedule\n"
