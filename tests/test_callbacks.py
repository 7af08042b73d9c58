"""What Python functions do while C calls them: raise, log, cancel, close."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltx2
from ltx2 import _calls, media

PROMPT = "a red circle"


@pytest.fixture(scope="module")
def session(tiny_model: list[Path]) -> Iterator[ltx2.Session]:
    with ltx2.Session(tiny_model, threads=1) as opened:
        yield opened


@pytest.fixture(autouse=True)
def nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """cffi writes what a callback could not handle to stderr."""
    yield
    assert capfd.readouterr() == ("", "")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def deep(_: object) -> None:
    deep(_)


def raising(error: BaseException) -> Callable[[object], None]:
    def raises(_: object) -> None:
        raise error

    return raises


def interrupting(_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


FAILING: dict[str, tuple[Callable[[Any], None], type[BaseException]]] = {
    "BaseException": (raising(BaseException("mine")), BaseException),
    "SystemExit": (raising(SystemExit(3)), SystemExit),
    "GeneratorExit": (raising(GeneratorExit()), GeneratorExit),
    "MemoryError": (raising(MemoryError()), MemoryError),
    "no words": (raising(MuteError()), MuteError),
    "deep recursion": (deep, RecursionError),
    "Ctrl-C": (interrupting, KeyboardInterrupt),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("function", ["progress", "latents"])
def test_whatever_a_function_raises_reaches_the_caller(
    session: ltx2.Session, name: str, function: str
) -> None:
    fails, kind = FAILING[name]
    with pytest.raises(kind) as raised:
        session.t2v(PROMPT, **{function: fails})  # type: ignore[arg-type]
    assert type(raised.value) is kind
    session.t2v(PROMPT, seed=1)


def test_a_call_near_the_end_of_pythons_stack_is_made_or_refused(session: ltx2.Session) -> None:
    def at(depth: int) -> ltx2.Video:
        return at(depth - 1) if depth else session.t2v(PROMPT, steps=1, seed=1)

    here = len(list(iter_frames()))
    outcomes = set()
    for room in range(5, 65, 3):
        with contextlib.suppress(RecursionError):
            at(sys.getrecursionlimit() - here - room)
            outcomes.add(room)
    assert 5 not in outcomes and 62 in outcomes


def iter_frames() -> Iterator[Any]:
    frame = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), LookupError("mine")])
def test_what_a_log_function_raises_stops_the_call(
    session: ltx2.Session, error: BaseException
) -> None:
    """Ctrl-C can come while a message of the library is handled."""
    log = logging.getLogger("ltx2")

    def fails(record: logging.LogRecord) -> bool:
        if "only its first" not in record.getMessage():
            return False
        raise error

    log.addFilter(fails)
    try:
        with pytest.raises(type(error)) as raised:
            session.t2v("a red circle " * 1024)
    finally:
        log.removeFilter(fails)
    assert raised.value is error
    session.t2v(PROMPT, seed=1)


def test_what_was_raised_and_the_functions_are_not_kept(session: ltx2.Session) -> None:
    class Function:
        def __call__(self, _: ltx2.Progress) -> None:
            raise LookupError

    function = Function()
    kept = weakref.ref(function)
    with pytest.raises(LookupError):
        session.t2v(PROMPT, progress=function)
    del function
    gc.collect()
    assert kept() is None


# ---- other threads


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Started; the list gets what it returns or raises."""
    result: list[object] = []

    def work() -> None:
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, result


class Gate:
    """A progress function that says that it was called, and waits there."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _: ltx2.Progress) -> None:
        self.reached.set()
        assert self.opened.wait(60)


def test_close_waits_for_the_call_under_way_and_refuses_those_that_wait(
    tiny_model: list[Path],
) -> None:
    session, gate = ltx2.Session(tiny_model), Gate()
    first, made = in_thread(lambda: session.t2v(PROMPT, seed=1, progress=gate))
    assert gate.reached.wait(60)
    second, refused = in_thread(lambda: session.t2v(PROMPT))
    closing = [in_thread(session.close) for _ in range(2)]
    closing[0][0].join(0.05)
    assert closing[0][0].is_alive()
    gate.opened.set()
    for thread in (first, second, *(thread for thread, _ in closing)):
        thread.join()
    assert isinstance(made[0], ltx2.Video)
    assert isinstance(refused[0], ltx2.InvalidArgumentError)
    assert "closed" in str(refused[0])
    assert [result for _, result in closing] == [[None], [None]]


def test_cancel_stops_calls_that_wait_and_not_those_that_come_later(
    session: ltx2.Session, tiny_model: list[Path]
) -> None:
    gate = Gate()
    first, one = in_thread(lambda: session.t2v(PROMPT, progress=gate))
    assert gate.reached.wait(60)
    second, two = in_thread(lambda: session.t2v(PROMPT))
    while len(_calls.under_way()) < 2:
        time.sleep(0.01)
    with ltx2.Session(tiny_model) as other:
        session.cancel()
        gate.opened.set()
        assert other.t2v(PROMPT, seed=1).seed == 1
    first.join()
    second.join()
    assert [type(result) for result in (*one, *two)] == [ltx2.CancelledError] * 2
    assert session.t2v(PROMPT, seed=1).seed == 1


def test_cancel_while_a_picture_is_read_is_not_lost(
    session: ltx2.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(_: object) -> Any:
        session.cancel()
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(media, "read_image", read)
    seen: list[ltx2.Progress] = []
    with pytest.raises(ltx2.CancelledError):
        session.i2v(PROMPT, tmp_path, progress=seen.append)
    assert seen == []


def test_a_session_that_ctrl_c_leaves_stops_its_calls(tiny_model: list[Path]) -> None:
    gate = Gate()
    session = ltx2.Session(tiny_model)
    thread, result = in_thread(lambda: session.t2v(PROMPT, steps=1000, progress=gate))
    assert gate.reached.wait(60)
    gate.opened.set()
    with pytest.raises(KeyboardInterrupt), session:
        raise KeyboardInterrupt
    thread.join()
    assert isinstance(result[0], ltx2.CancelledError)


def test_a_session_in_use_is_not_collected(tiny_model: list[Path]) -> None:
    gate = Gate()

    def work() -> ltx2.Video:
        return ltx2.Session(tiny_model).t2v(PROMPT, seed=1, progress=gate)

    thread, made = in_thread(work)
    assert gate.reached.wait(60)
    gc.collect()
    gate.opened.set()
    thread.join()
    assert isinstance(made[0], ltx2.Video)
