"""Enhancing a prompt, on a tiny model that answers with nonsense: what goes in, what comes out,
what stops it, and where it is told.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import ltx2
from ltx2 import cli, media

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = "a cat walks"
SMALL: Any = {"width": 64, "height": 64, "frames": 1, "steps": 1, "stg": -1, "seed": 3}


@pytest.fixture(scope="module")
def session(tiny: dict[str, Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session([tiny["base"], tiny["base"].parent / "gemma"], device="CPU") as session:
        yield session


def test_a_seed_gives_the_same_prompt_again_and_another_one_another(session: ltx2.Session) -> None:
    def written(**options: Any) -> str:
        return session.enhance(PROMPT, tokens=12, **options)

    assert written(seed=1) == written(seed=1) != written(seed=2)
    likeliest = written(temperature=0)
    assert (
        likeliest == written(temperature=0, seed=9) == written(top_k=1, seed=2) != written(seed=1)
    )


def test_the_text_is_told_as_it_comes_and_comes_cleaned(session: ltx2.Session) -> None:
    pieces: list[str] = []
    enhanced = session.enhance(PROMPT, tokens=20, seed=1, text=pieces.append)
    assert len(pieces) > 5
    raw = "".join(pieces).strip()
    assert len(enhanced) > 10
    assert raw.endswith(enhanced[-3:])
    assert enhanced[0].isalpha()
    assert enhanced.prompt == PROMPT
    assert isinstance(enhanced, str)


def test_instructions_and_pictures_change_what_is_asked(session: ltx2.Session) -> None:
    def written(**options: Any) -> str:
        return session.enhance(PROMPT, tokens=12, temperature=0, **options)

    answers = {written(), written(of_image=True), written(instructions="Rhyme."), written()}
    assert len(answers) == 3


def test_progress_goes_over_all_tokens(session: ltx2.Session) -> None:
    seen: list[ltx2.Progress] = []
    session.enhance(PROMPT, tokens=5, temperature=0, progress=seen.append)
    stages = [p.stage for p in seen]
    assert stages == sorted(stages, key=["load", "enhance"].index)
    told = [(p.done, p.total) for p in seen if p.stage == "enhance"]
    assert told == sorted(told)
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert len({done for done, _ in told}) > 7  # of 7 layers over the question, then by token


@pytest.mark.parametrize("where", ["question", "answer", "text"])
def test_it_stops_when_it_is_told(session: ltx2.Session, where: str) -> None:
    pieces = []

    def told(text: str) -> None:
        pieces.append(text)
        if where == "text":
            session.cancel()

    def progress(p: ltx2.Progress) -> None:
        begun = p.stage == "enhance" and p.done > 0
        if begun and (where == "question" or (where == "answer" and len(pieces) > 2)):
            session.cancel()

    with pytest.raises(ltx2.CancelledError):
        session.enhance(PROMPT, tokens=4000, seed=1, progress=progress, text=told)
    assert len(pieces) == {"question": 0, "answer": 3, "text": 1}[where]
    assert session.enhance(PROMPT, tokens=3, seed=1)  # as if nothing were


def test_what_a_function_raises_reaches_the_caller(session: ltx2.Session) -> None:
    def refuse(_text: str) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        session.enhance(PROMPT, text=refuse)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": float("nan")}, "temperature: nan is not in 0..100"),
        ({"temperature": 101}, "temperature: 101 is not in 0..100"),
        ({"top_k": -1}, "top_k: -1 is not in 1..1048576"),
        ({"top_k": 0}, "top_k: 0 cannot be used"),
        ({"tokens": 4097}, "tokens: 4097 is not in 1..4096"),
        ({"instructions": "so " * 3000}, "tokens with its instructions"),
        ({"instructions": "a\0b"}, "instructions: contains a NUL"),
    ],
)
def test_options_out_of_range_are_refused(session: ltx2.Session, options: Any, words: str) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=words.replace("(", r"\(")):
        session.enhance(PROMPT, **options)


def test_an_unknown_option_is_a_mistake(session: ltx2.Session) -> None:
    with pytest.raises(TypeError, match="top_p"):
        session.enhance(PROMPT, top_p=1)  # type: ignore[call-arg]


def test_a_text_encoder_without_turns_says_so(model: str) -> None:
    with (
        ltx2.Session(device="CPU") as demo,
        pytest.raises(ltx2.ModelError, match="no <start_of_turn>"),
    ):
        demo.enhance(PROMPT)


def test_a_video_of_an_enhanced_prompt_says_what_it_was(
    session: ltx2.Session, tmp_path: Path
) -> None:
    how: Any = {"tokens": 8, "seed": 1}
    video = session.t2v(PROMPT, enhance=how, **SMALL)
    enhanced = session.enhance(PROMPT, **how)
    assert video.metadata["prompt"] == enhanced != PROMPT
    assert video.metadata["enhanced_from"] == PROMPT
    other = session.t2v(enhanced, **SMALL)
    assert (other.frames == video.frames).all()
    assert other.metadata["enhanced_from"] == PROMPT
    assert "enhanced_from" not in session.t2v(str(enhanced), **SMALL).metadata
    video.save(tmp_path / "clip.png")
    assert media.read_metadata(tmp_path / "clip.png")["enhanced_from"] == PROMPT
    again = session.replay(tmp_path / "clip.png")
    assert (again.frames == video.frames).all()
    assert {**again.metadata, "date": None} == {**video.metadata, "date": None}


def test_a_video_from_pictures_is_asked_for_as_such_by_its_seed(session: ltx2.Session) -> None:
    first = session.t2v(PROMPT, **SMALL).frames[0]
    pieces: list[str] = []
    how: Any = {"tokens": 8, "text": pieces.append}
    video = session.i2v(PROMPT, first, enhance=how, **SMALL)
    expected = session.enhance(PROMPT, of_image=True, seed=SMALL["seed"], tokens=8)
    assert video.metadata["prompt"] == expected
    assert pieces


def test_a_job_keeps_the_enhanced_prompt(session: ltx2.Session, tmp_path: Path) -> None:
    def stop(progress: ltx2.Progress) -> None:
        if progress.stage == "denoise":
            raise KeyboardInterrupt

    how: Any = {"tokens": 8, "seed": 1}
    with pytest.raises(KeyboardInterrupt):
        session.t2v(PROMPT, enhance=how, job=tmp_path / "job", progress=stop, **SMALL)
    video = session.resume(tmp_path / "job")
    assert video.metadata["enhanced_from"] == PROMPT
    assert video.metadata["prompt"] == session.enhance(PROMPT, **how)


def test_features_are_not_enhanced(session: ltx2.Session) -> None:
    features = session.encode(PROMPT, **SMALL)
    with pytest.raises(ltx2.InvalidArgumentError, match="enhance: the features"):
        session.t2v(features, enhance=True, **SMALL)


def test_a_limit_on_memory_is_kept_to(session: ltx2.Session, tiny: dict[str, Path]) -> None:
    wanted: Any = {"tokens": 10, "seed": 1}
    files = [tiny["base"], tiny["base"].parent / "gemma"]
    for how in ({"low_memory": True}, {"keep_loaded": True}):
        with ltx2.Session(files, device="CPU", **how) as other:  # type: ignore[arg-type]
            assert other.enhance(PROMPT, **wanted) == session.enhance(PROMPT, **wanted)
            before = other.t2v(PROMPT, **SMALL).frames  # with the encoder that is kept, too
            assert (before == session.t2v(PROMPT, **SMALL).frames).all()
            assert other.enhance(PROMPT, **wanted) == session.enhance(PROMPT, **wanted)


def test_the_command_tells_the_prompt_and_keeps_to_the_instructions(
    session: ltx2.Session, tiny: dict[str, Path], tmp_path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("Rhyme.")
    models = ["--model", str(tiny["base"]), "--model", str(tiny["base"].parent / "gemma")]
    sizes = ["--width", "64", "--height", "64", "--frames", "1", "--steps", "1", "--seed", "3"]
    command = [
        "t2v", PROMPT, "-o", str(tmp_path / "clip.png"), "--json", "--stg", "0", *models, *sizes,
        "--device", "CPU", "--enhance-instructions", str(asked),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "ltx2", *command], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(ltx2.__file__).parents[1])},
    )  # fmt: skip
    about = json.loads(done.stdout)
    assert about["enhanced_from"] == PROMPT
    assert about["prompt"] == session.enhance(PROMPT, instructions="Rhyme.", seed=3)
    assert f"ltx2: prompt: {ltx2.text.visible(about['prompt'])}" in done.stderr.splitlines()


def test_instructions_that_are_no_text_are_refused(tmp_path: Path, model: str) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_bytes(b"\xff\xfe")
    command = ["t2v", PROMPT, "-o", str(tmp_path / "a.npy"), "--enhance-instructions", str(asked)]
    result = CliRunner().invoke(cli.cli, command)
    assert isinstance(result.exception, ltx2.InvalidArgumentError)
    assert "asked.txt" in str(result.exception)
