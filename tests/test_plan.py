"""What a video will take, said before a weight is read, and whether that is so."""

from __future__ import annotations

import json
import math
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltx2
from ltx2 import cache, cli
from ltx2._native import c_text, check, ffi, lib, string
from ltx2.request import Request
from ltx2.time_left import TimeLeft

PROMPT = "a red circle moves right on a blue background"
SMALL: dict[str, Any] = {"width": 128, "height": 128, "frames": 17, "audio": False}


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LTX2_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_plan_has_every_stage_and_what_will_be_made() -> None:
    with ltx2.Session() as session:
        plan = session.plan(PROMPT, **{**SMALL, "width": 96})
        made = session.t2v(PROMPT, **{**SMALL, "width": 96}, seed=1)
    assert [stage["stage"] for stage in plan["stages"]] == ["text", "denoise", "decode"]
    assert made.frames.shape == (plan["frames"], plan["height"], plan["width"], 3)
    assert plan["fps"] == made.fps
    assert plan["seconds"] == pytest.approx(sum(stage["seconds"] for stage in plan["stages"]))
    assert all(stage["seconds"] > 0 and stage["activations"] > 0 for stage in plan["stages"])
    own = max(stage["copied"] + stage["activations"] for stage in plan["stages"])
    assert plan["memory"]["own"] == own <= plan["memory"]["with_mapped"]
    assert plan["fits"] and "nearest" not in plan


def test_each_call_says_what_it_takes_before_it_begins() -> None:
    plans: list[dict[str, Any]] = []
    options: dict[str, Any] = {"steps": 2, "seed": 1, "audio": False, "expect": plans.append}
    with ltx2.Session() as session:
        clip = session.t2v(PROMPT, width=64, height=64, frames=17, **options)
        session.retake(PROMPT, clip, 0.0, 0.2, **options)
        longer = session.extend(PROMPT, clip, 16, frames=25, context=17, **options)
        with pytest.raises(ZeroDivisionError):
            session.t2v(PROMPT, frames=9, steps=1, expect=lambda _plan: 1 / 0)
    made, again, pieces = plans  # of all pieces one plan
    assert [plan["frames"] for plan in plans] == [17, 17, len(longer.frames)] == [17, 17, 33]
    stages = [[stage["stage"] for stage in plan["stages"]] for plan in plans]
    assert stages[0] == ["text", "denoise", "decode"]
    assert stages[1] == ["text", "image", "denoise", "decode"]
    assert stages[2] == 2 * ["image", "denoise", "decode"]
    assert all(plan["seconds"] > 0 for plan in (made, again, pieces))


def test_what_is_left_of_a_run_in_pieces() -> None:
    piece = [{"stage": "denoise", "seconds": 2.0}, {"stage": "decode", "seconds": 1.0}]
    left = TimeLeft({"stages": 2 * piece})

    def done(stage: str, done: int, total: int) -> float | None:
        return left.done(ltx2.Progress(stage, done, total))

    assert done("load", 1, 3) is None
    assert done("denoise", 1, 2) == pytest.approx(1 / 6)
    assert done("decode", 1, 1) == done("denoise", 0, 2) == pytest.approx(0.5)
    assert done("decode", 2, 2) == 1


def test_what_another_run_did_took_this_one_no_time() -> None:
    left = TimeLeft({"stages": [{"stage": "denoise", "seconds": 100.0}]})
    assert left.at(ltx2.Progress("denoise", 9, 10)) == pytest.approx(10)
    left.began -= 3.0  # seconds for another twentieth: as many again are left
    assert left.at(ltx2.Progress("denoise", 19, 20)) == pytest.approx(3, abs=0.1)


def test_the_time_before_the_first_report_says_nothing_of_the_pace() -> None:
    left = TimeLeft({"stages": [{"stage": "denoise", "seconds": 100.0}]})
    left.began -= 1000.0  # as for loading
    assert left.at(ltx2.Progress("denoise", 0, 10)) == pytest.approx(100)
    left.began -= 3.0
    assert left.at(ltx2.Progress("denoise", 1, 10)) == pytest.approx(27, abs=0.1)


def planned(session: ltx2.Session, speeds: str, **options: Any) -> dict[str, Any]:
    """Without the cache, which keeps nothing of a busy machine."""
    params, inputs = Request.of(PROMPT, options).params()
    out = ffi.new("char **")
    check(lib.ltx2_session_plan(session._session, params, c_text("speeds", speeds), out))
    del inputs
    plan: dict[str, Any] = json.loads(string(ffi.gc(out[0], lib.ltx2_text_free)))
    return plan


def test_work_grows_with_steps_and_passes() -> None:
    def denoise(plan: dict[str, Any]) -> float:
        return float(sum(s["seconds"] for s in plan["stages"] if s["stage"] == "denoise"))

    with ltx2.Session() as session:
        speeds = json.dumps(planned(session, "")["speeds"])
        one = denoise(planned(session, speeds, steps=4, guidance=1, audio=False))
        two = denoise(planned(session, speeds, steps=8, guidance=1, audio=False))
        assert two == pytest.approx(2 * one)
        guided = planned(session, speeds, steps=4, guidance=3, audio=False)
    assert guided["passes"] == 2
    assert 1.8 * one < denoise(guided) < 2.2 * one


def test_pictures_are_a_stage_of_their_own() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    with ltx2.Session() as session:
        plan = session.plan(PROMPT, {0: picture, 16: picture}, **SMALL)
    assert [stage["stage"] for stage in plan["stages"]] == ["text", "image", "denoise", "decode"]


@pytest.mark.parametrize("keep_loaded", [False, True])
def test_planning_changes_no_bit(keep_loaded: bool) -> None:
    with ltx2.Session(keep_loaded=keep_loaded) as session:
        before = session.t2v(PROMPT, steps=2, seed=3, **SMALL)
        session.plan(PROMPT, width=160, audio=False)
        after = session.t2v(PROMPT, steps=2, seed=3, **SMALL)
    np.testing.assert_array_equal(before.frames, after.frames)
    assert before.latents is not None and after.latents is not None
    np.testing.assert_array_equal(before.latents, after.latents)


REFUSED = """
import json, resource, sys
import ltx2
with ltx2.Session() as session:
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), resource.RLIM_INFINITY))
    size = dict(width=1024, height=1024, frames=97, audio=False)
    plan = session.plan("a red circle", **size)
    try:
        session.t2v("a red circle", **size)
    except ltx2.OutOfMemoryError as error:
        words = str(error)
    again = session.plan("a red circle", **plan["nearest"])
    try:
        session.plan("a red circle", width=8192, height=8192, frames=4097)
    except ltx2.OutOfMemoryError as error:
        hopeless = str(error)
print(json.dumps([plan, words, again["memory"]["own"], hopeless]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")
def test_what_does_not_fit_is_refused_with_what_does() -> None:
    run = [sys.executable, "-c", REFUSED]
    out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    plan, words, own, hopeless = json.loads(out)
    nearest = plan["nearest"]
    assert not plan["fits"]
    assert own < plan["available"]  # which changes a little while the program runs
    assert re.search(r"; \d+ frames of \d+ x \d+ would fit$", words)
    assert re.search(r"4097 frames of 8192 x 8192 need .*; \d+ frames of .* would fit$", hopeless)
    assert nearest["width"] * nearest["height"] * nearest["frames"] > 256 * 256 * 9


def test_speeds_are_measured_once_and_kept(empty_cache: Path) -> None:
    with ltx2.Session() as session:
        first = session.plan(PROMPT)
        kept = cache.load("speeds.json")
        assert bool(kept) is not first["busy"]
        cache.store("speeds.json", {k: {n: 2 * v for n, v in s.items()} for k, s in kept.items()})
        if kept:
            assert session.plan(PROMPT)["seconds"] == pytest.approx(first["seconds"] / 2)
        (empty_cache / "speeds.json").write_bytes(b"\xff{")
        session.plan(PROMPT)
        about = f"{ltx2.__version__}, {platform.node()}, {session._computes}"
        damages: list[Any] = [5, [], {"move": 0}, {"move": "a"}, {"move": math.inf}]
        for damaged in damages:
            cache.store("speeds.json", {about: damaged})
            assert session.plan(PROMPT)["seconds"] > 0


def test_a_cache_that_is_read_only_is_left_alone(empty_cache: Path) -> None:
    (empty_cache / "speeds.json").mkdir(parents=True)  # as unwritable, to root too
    cache.store("speeds.json", {"a": 1})
    assert cache.load("speeds.json") == {}


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LTX2_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    cache.store("speeds.json", {"a": 1})
    assert cache.load("speeds.json") == {}
    shown: list[Any] = []
    with ltx2.Session() as session:
        session.t2v(PROMPT, width=64, height=64, frames=9, steps=1, preview=shown.append)
    assert len(shown) == 1
    with pytest.raises(OSError, match="there is no home folder; LTX2_CACHE names one"):
        cache.folder()


def test_nothing_fails_where_nothing_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LTX2_CACHE", str(tmp_path / "file" / "cache"))
    with ltx2.Session() as session:
        assert session.plan(PROMPT)["seconds"] > 0


@pytest.mark.parametrize(
    "speeds", ["[]", "{", '{"move": 0}', '{"move": 1e-305}', '{"move": 1e305}', '{"move": "a"}']
)
def test_speeds_that_are_none_are_refused(speeds: str) -> None:
    with ltx2.Session() as session, pytest.raises(ltx2.InvalidArgumentError, match="speeds"):
        planned(session, speeds)


def test_the_command_says_it_in_lines_and_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", PROMPT, "--frames", "17", "--no-audio"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("128x128, 17 frames, 16 steps of 2 passes")
    assert [line.split(":")[0].strip() for line in lines[1:5]] == [
        "text", "denoise", "decode", "total",
    ]  # fmt: skip
    assert lines[5].startswith("fits into ")
    assert cli.main(["plan", PROMPT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 25
