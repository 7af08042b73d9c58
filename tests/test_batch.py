"""Many clips: lists of jobs, made here, by pools, and by the workers of a Dask cluster."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ltx2
from ltx2 import batch, cli, media

PROMPT = "a red circle moves right"
SMALL: dict[str, Any] = {
    "prompt": PROMPT, "frames": 9, "width": 64, "height": 64, "steps": 1, "audio": False,
}  # fmt: skip


def jobs(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{**SMALL, "seed": i, "output": f"{i}.gif", **more} for i in range(count)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes where a file is written once more."""
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("*.gif")}


@pytest.fixture(autouse=True)
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs where no model is named."""
    monkeypatch.delenv("LTX2_MODEL", raising=False)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., list[batch.Outcome]]:
    """`generate`, into the test's folder."""

    def generate(*arguments: Any, **more: Any) -> list[batch.Outcome]:
        return batch.generate(*arguments, **{"folder": tmp_path, "threads": 1, **more})

    return generate


# ---- what a job is


def test_a_line_is_a_prompt_or_an_object() -> None:
    text = '\ufeffa cat\n\n  {"prompt": "a dog", "seed": 7, "image": {"8": ["dog.png", 0.5]}}  \n'
    assert batch.read(io.StringIO(text)) == [
        {"prompt": "a cat"},
        {"prompt": "a dog", "seed": 7, "image": {8: ("dog.png", 0.5)}},
    ]


@pytest.mark.parametrize("value", [4, [24, 48], "24, 48"])
def test_keyframes_are_a_number_a_list_or_text(value: object) -> None:
    line = json.dumps({"prompt": "a cat", "generated_keyframes": value})
    assert batch.read(io.StringIO(line)) == [json.loads(line)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"prompt": "a cat", "sede": 1}', "sede: is none of prompt, output, image, "),
        ('{"prompt": "a cat", "progress": 1}', "progress: is none of prompt, "),
        ('{"prompt": "a cat"', "is no JSON object: "),
        ("{" * 100_000, "is no JSON object: "),
        ('{"seed": 1}', "has no prompt"),
        ('{"prompt": " "}', "has no prompt"),
        ('{"prompt": 1}', "prompt: 1 is no text"),
        ('{"prompt": "a cat", "width": "64"}', "width: '64' is no whole number"),
        ('{"prompt": "a cat", "width": true}', "width: True is no whole number"),
        ('{"prompt": "a cat", "fps": "24"}', "fps: '24' is no number"),
        ('{"prompt": "a cat", "fps": NaN, "duration": 5}', "fps: nan is no finite number"),
        (f'{{"prompt": "a cat", "fps": 1{"0" * 400}}}', "0000 is no finite number"),
        ('{"prompt": "a cat", "guidance": 1e400}', "guidance: inf is no finite number"),
        ('{"prompt": "a cat", "generated_keyframes": [true]}', "[True] is no text"),
        ('{"prompt": "a cat", "audio": 1}', "audio: 1 is no true or false"),
        ('{"prompt": "a cat", "duration": NaN}', "duration: nan is no finite number"),
        ('{"prompt": "a cat", "duration": 0}', "duration: 0 is no time in seconds"),
        ('{"prompt": "a cat", "duration": 1, "frames": 9}', "duration: stands in place of frames"),
        ('{"prompt": "a cat", "image": {"x": "cat.png"}}', "image: maps frames, which are whole"),
        ('{"prompt": "a cat", "image": {}}', "image: maps frames, which are whole"),
        ('{"prompt": "a cat", "image": {"0": "a.png", "00": "b.png"}}', "image: has a frame twice"),
        ('{"prompt": "a cat", "image": 5}', "image: 5 is no picture"),
        ('{"prompt": "a cat", "image": [["cat.png", 1], 1]}', "image: ['cat.png', 1] is no"),
        ('{"prompt": "a cat", "image": ["cat.png", "1"]}', "image: '1' is no strength"),
        ('{"prompt": "a cat", "keyframes": true}', "keyframes: is of pictures"),
        ('{"prompt": "a cat", "enhance": "yes"}', "enhance: 'yes' is neither true nor false"),
        ('{"prompt": "a cat", "enhance": {"heat": 1}}', "enhance: heat: is none of instructions"),
        ("a" * (1 << 20), "is longer than 1048576 characters"),
    ],
)
def test_a_line_that_is_no_job_is_refused_by_its_number(line: str, words: str) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=rf"^jobs: line 2: .*{re.escape(words)}"):
        batch.read(io.StringIO(f"a dog\n{line}\na bird"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../cat.mp4", "../cat.mp4 is not the name of a file"),
        ("/cat.mp4", "/cat.mp4 is not the name of a file"),
        ("..", ".. is not the name of a file"),
        ("%04d.png", "%04d.png is frames in the folder of all clips"),
        ("cat-%d.PNG", "cat-%d.PNG is frames in the folder of all clips"),
        ("cat.npy", "cat.npy would not say what it was made from"),
    ],
)
def test_a_clip_stays_in_its_folder_and_says_what_it_is(name: str, words: str, made: Any) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=rf"^job 1: output: {re.escape(words)}"):
        made(jobs(1, output=name))


def test_the_fields_of_a_job_are_the_arguments_of_the_calls() -> None:
    """Those that JSON, or another process, can hold."""
    own = {"prompt", "output", "image", "duration", "crf", "keyframes", "enhance"}
    assert set(batch.FIELDS) == own | set(ltx2.Options.__annotations__) - {"noise"}


def test_two_jobs_with_one_output_are_refused_before_any_work(made: Any, tmp_path: Path) -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=r"job 2: output: 0\.gif is another"):
        made(jobs(1) * 2)
    with pytest.raises(ltx2.InvalidArgumentError, match="is no folder"):
        made(jobs(1), folder=tmp_path / "none")
    assert files(tmp_path) == []


# ---- made here


def test_clips_are_made_once(made: Any, tmp_path: Path) -> None:
    first = made([*jobs(2), {**SMALL, "prompt": "Ein roter Kreis!"}])
    names = ["0.gif", "0003-ein-roter-kreis.mp4", "1.gif"]
    assert files(tmp_path) == names
    assert [outcome.made for outcome in first] == [True] * 3
    assert [Path(outcome.output).name for outcome in first] == ["0.gif", "1.gif", names[1]]
    before = states(tmp_path)
    told: list[batch.Outcome] = []
    again = made([*jobs(3), {**SMALL, "prompt": "Ein roter Kreis!"}][1:], done=told.append)
    assert [outcome.made for outcome in again] == [False, True, False]
    assert told == again
    assert states(tmp_path) == {**before, "2.gif": states(tmp_path)["2.gif"]}
    assert again[0].metadata == first[1].metadata == media.read_metadata(tmp_path / "1.gif")


def test_a_clip_has_the_bits_of_the_call(made: Any, tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 90).save(tmp_path / "noise.png")
    picture = str(tmp_path / "noise.png")
    made([
        {**SMALL, "seed": 1, "output": "text.png"},
        {**SMALL, "seed": 1, "output": "image.png", "image": {"8": [picture, 0.5]}, "crf": 0},
    ])  # fmt: skip
    options = {name: value for name, value in SMALL.items() if name != "prompt"}
    with ltx2.Session() as session:
        videos = {
            "text.png": session.t2v(PROMPT, seed=1, **options),
            "image.png": session.i2v(PROMPT, {8: (picture, 0.5)}, crf=0, seed=1, **options),
        }
    for name, video in videos.items():
        shown = [np.asarray(Image.open(tmp_path / name / f"{i:04}.png")) for i in range(9)]
        assert np.array_equal(shown, video.frames)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "another seed"),
        ({"prompt": "a green square"}, "another prompt"),
        ({"steps": 2}, "another steps"),
        ({"guidance": 7.5}, "another guidance"),
        ({"image": np.zeros((64, 64, 3), np.uint8)}, "another images, crf"),
    ],
)
def test_another_clip_is_not_replaced(
    change: dict[str, Any], words: str, made: Any, tmp_path: Path
) -> None:
    made(jobs(1))
    before = states(tmp_path)
    [outcome] = made(jobs(1, **change))
    assert isinstance(outcome.error, ltx2.InvalidArgumentError)
    assert f"is there already, with {words}; remove it" in str(outcome.error)
    assert states(tmp_path) == before


def test_the_clip_of_another_model_and_a_file_of_anyone_are_not_replaced(
    made: Any, tiny_model: list[Path], tmp_path: Path
) -> None:
    made(jobs(1))
    (tmp_path / "1.gif").write_text("mine")
    before = states(tmp_path)
    for outcome in made(jobs(2), model=tiny_model):
        assert "parts" in str(outcome.error)
    assert states(tmp_path) == before


def test_numbers_may_be_numpy_s(made: Any) -> None:
    job = {"prompt": "a cat", "seed": np.int64(4), "fps": np.float32(8)}
    assert batch.checked(job) == job
    [outcome] = made([{**SMALL, "seed": np.int64(4), "output": "0.gif"}], threads=np.int64(1))
    assert outcome.error is None
    [again] = made([{**SMALL, "seed": 4, "output": "0.gif"}])
    assert again.error is None and not again.made


def test_a_duration_is_frames(made: Any) -> None:
    job = {name: value for name, value in SMALL.items() if name != "frames"}
    [outcome] = made([{**job, "duration": 2, "fps": 8.0, "output": "two.gif"}])
    assert outcome.metadata["frames"] == 17


def test_without_a_seed_any_does(made: Any, tmp_path: Path) -> None:
    job = {**SMALL, "output": "any.gif"}
    [first], [again] = made([job]), made([job])
    assert (first.made, again.made) == (True, False)
    assert first.metadata["seed"] == again.metadata["seed"]


def test_a_job_that_fails_does_not_stop_the_others(made: Any, tmp_path: Path) -> None:
    bad = [
        {**SMALL, "frames": 10, "output": "a.gif"},
        {**SMALL, "image": "none.png", "output": "b.gif"},
        {**SMALL, "width": 65, "output": "c.gif"},
        {**SMALL, "output": "d.xyz"},
    ]
    outcomes = made([*bad, *jobs(1)])
    assert [type(outcome.error) for outcome in outcomes] == [
        *[ltx2.InvalidArgumentError] * 4, type(None),
    ]  # fmt: skip
    assert files(tmp_path) == ["0.gif"]


def test_what_the_callers_functions_raise_reaches_it(made: Any, tmp_path: Path) -> None:
    class Mine(Exception):  # noqa: N818
        pass

    def raises(_now: object) -> None:
        raise Mine

    for name in ("done", "progress"):
        with pytest.raises(Mine):
            made(jobs(2), **{name: raises})
    assert files(tmp_path) == ["0.gif"]


def test_what_keeps_a_session_from_opening_is_no_job_s_fault(made: Any, tmp_path: Path) -> None:
    with pytest.raises(ltx2.ModelError):
        made(jobs(2), model=tmp_path / "none.gguf")


# ---- made by executors


class Inline(Executor):
    """Makes a job when it is submitted; the first of them fail as their place does."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.submitted = 0

    def submit(self, function: Any, /, *arguments: Any, **_more: Any) -> Any:
        self.submitted += 1
        future: Future[Any] = Future()
        if self.errors:
            future.set_exception(self.errors.pop(0))
        else:
            future.set_result(function(*arguments))
        return future


def test_threads_share_a_session(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[ltx2.Session] = []

    class Counted(ltx2.Session):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            opened.append(self)

    monkeypatch.setattr(batch, "Session", Counted)
    monkeypatch.setattr(batch, "_opened", {})
    with ThreadPoolExecutor(2) as pool:
        outcomes = made(jobs(4), pool) + made(jobs(5), pool)
    assert [outcome.error for outcome in outcomes] == [None] * 9
    assert sum(outcome.made for outcome in outcomes) == 5
    assert len(opened) == 1
    assert files(tmp_path) == [f"{i}.gif" for i in range(5)]


def test_a_job_is_tried_again_where_its_place_failed(made: Any, tmp_path: Path) -> None:
    executor = Inline(OSError("no room"), ltx2.OutOfMemoryError("none"))
    outcomes = made(jobs(2), executor)
    assert [outcome.made for outcome in outcomes] == [True, True]
    assert executor.submitted == 4
    executor = Inline(*[ltx2.DeviceError("lost")] * 3)
    [outcome] = made(jobs(1), executor)
    assert (str(outcome.error), executor.submitted) == ("lost", batch.TRIES)


def test_a_job_s_own_fault_is_not_tried_again(made: Any) -> None:
    executor = Inline()
    [outcome] = made(jobs(1, frames=10), executor)
    assert isinstance(outcome.error, ltx2.InvalidArgumentError)
    assert executor.submitted == 1


def die(_task: object) -> None:
    os._exit(9)


def test_a_model_that_the_environment_names_is_one_for_workers_too(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path as all find it, and a name as it is: each machine has its own files of that."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.gguf").touch()
    name = "ltx-2.3-distilled:q4_0"
    monkeypatch.setenv("LTX2_MODEL", os.pathsep.join(("mine.gguf", name)))
    asked: list[Any] = []

    class Pool(Executor):
        def submit(self, _work: Any, /, *given: Any, **_: Any) -> Any:
            asked.append(json.loads(given[0].opening)["model"])
            raise BrokenExecutor

    made(jobs(1), Pool())
    assert asked == [[str(tmp_path / "mine.gguf"), name]]


def test_a_pool_that_broke_is_told_of_each_job(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the same list goes on in another pool."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(batch, "_work", die)
            outcomes = made(jobs(2), pool)
        outcomes += made(jobs(1), pool)  # which refuses at once
    assert [type(outcome.error) for outcome in outcomes] == [BrokenProcessPool] * 3
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        outcomes = made([*jobs(1), *jobs(1, frames=10, output="bad.gif")], pool)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), ltx2.InvalidArgumentError]
    assert files(tmp_path) == ["0.gif"]


def test_a_clip_that_is_written_where_nobody_sees_it_is_no_clip(made: Any, tmp_path: Path) -> None:
    class Elsewhere(Inline):
        def submit(self, function: Any, /, *arguments: Any, **more: Any) -> Any:
            future = super().submit(function, *arguments, **more)
            (tmp_path / "0.gif").unlink()
            return future

    [outcome] = made(jobs(1), Elsewhere())
    assert "0.gif: " in str(outcome.error)
    assert "workers need the same folder" in str(outcome.error)


# ---- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def listed(folder: Path, *lines: dict[str, Any]) -> Path:
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_command_makes_a_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path, out = listed(tmp_path, *jobs(2), *jobs(1, frames=10, output="bad.gif")), tmp_path / "out"
    code, printed, said = run(capsys, "batch", path, "-o", out)
    assert (code, printed) == (2, f"{out / '0.gif'}\n{out / '1.gif'}\n")
    assert said.splitlines()[-2].startswith("ltx2: bad.gif: frames: 10 is not 8k+1")
    assert said.splitlines()[-1] == "ltx2: 2 made, 0 there already, 1 failed"
    code, printed, said = run(capsys, "batch", path, "-o", out, "--json")
    answers = [json.loads(line) for line in printed.splitlines()]
    assert [answer.get("seed") for answer in answers] == [0, 1, None]
    assert answers[2]["error"]["message"].startswith("frames: 10")
    assert "0 made, 2 there already, 1 failed" in said
    code, printed, said = run(capsys, "batch", "-q", listed(tmp_path, *jobs(2)), "-o", out)
    assert (code, said) == (0, "")


def test_a_device_has_any_case_here_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["batch", listed(tmp_path, *jobs(1)), "-o", tmp_path / "out", "--device", "cpu"]
    code, _, said = run(capsys, *words)
    assert (code, said.splitlines()[-1]) == (0, "ltx2: 1 made, 0 there already, 0 failed")


@pytest.mark.parametrize(("flags", "words"), [
    (["-o", "jobs.jsonl"], "jobs.jsonl: is no folder"),
    (["-o", "jobs.jsonl/out"], "jobs.jsonl/out: is no folder"),
    (["--scheduler", ""], "scheduler: is named by nothing; give its address"),
])  # fmt: skip
def test_what_the_command_cannot_use_is_refused_before_the_work(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, said = run(capsys, "batch", listed(tmp_path, *jobs(1)), *flags)
    assert (code, out, said) == (2, "", f"ltx2: {words}\n")


@pytest.mark.usefixtures("command")
def test_ctrl_c_ends_the_command_and_the_list_goes_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = ["ltx2", "batch", str(listed(tmp_path, *jobs(40, steps=4))), "-o", str(out)]
    begun = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert begun.stdout is not None
    assert begun.stdout.readline() == f"{out / '0.gif'}\n"
    begun.send_signal(signal.SIGINT)
    _, said = begun.communicate()
    assert (begun.returncode, said.splitlines()[-1]) == (130, "ltx2: cancelled")
    kept = states(out)
    assert 1 <= len(kept) < 40
    assert files(out) == sorted(kept)  # nothing half made
    path = listed(tmp_path, *jobs(len(kept) + 1, steps=4))
    code, _, said = run(capsys, "batch", path, "-o", out)
    assert code == 0
    assert f"1 made, {len(kept)} there already, 0 failed" in said
    assert {name: state for name, state in states(out).items() if name in kept} == kept
