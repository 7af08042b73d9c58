"""The interpreter ends while calls are under way: none crashes it, and none holds it up.

The slow test is forty ends at forty moments: pytest -m slow tests/test_exit.py
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ltx2

BEGIN = """
import atexit, concurrent.futures, faulthandler, os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import ltx2
session = ltx2.Session(sys.argv[2:], threads=2)
under_way = threading.Event()
def endless(progress=lambda progress: under_way.set()):
    size = {"width": 512, "height": 512, "frames": 257, "steps": 1000}
    session.t2v("a red circle", **size, seed=1, progress=progress)
def ctrl_c(delay=0.0):
    threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
"""
DAEMON = """
threading.Thread(target=endless, daemon=True).start()
under_way.wait()
time.sleep(float(sys.argv[1]))
"""
THREAD_AND_CTRL_C = """
run = threading.Thread(target=endless)
run.start()
under_way.wait()
ctrl_c(float(sys.argv[1]))
run.join()
"""
# name: (program, exit code, what stderr ends with; what it holds in addition does not matter)
PROGRAMS: dict[str, tuple[str, int, str]] = {
    "a daemon thread is cancelled": (DAEMON, 0, ""),
    "an ordinary thread finishes": (
        """
threading.Thread(target=lambda: print(session.t2v("a", seed=1).frames.any(), file=sys.stderr)
                 ).start()
        """,
        0,
        "True\n",
    ),
    "Ctrl-C stops an ordinary thread": (THREAD_AND_CTRL_C, -signal.SIGINT, ""),
    "Ctrl-C twice": (THREAD_AND_CTRL_C.replace("run.join", "ctrl_c(); run.join"), -2, ""),
    "Ctrl-C stops an executor's thread": (
        """
run = concurrent.futures.ThreadPoolExecutor().submit(endless)
under_way.wait()
ctrl_c()
run.result()
        """,
        -signal.SIGINT,
        "KeyboardInterrupt\n",
    ),
    "sys.exit is in the thread": (
        """
def ends(progress):
    under_way.set()
    sys.exit(3)
threading.Thread(target=endless, args=(ends,)).start()
        """,
        0,
        "",
    ),
    "a thread begins another call at each end of one": (
        """
def again():
    while True:
        try:
            endless()
        except ltx2.CancelledError as error:
            last.append(error)
last = []
threading.Thread(target=again, daemon=True).start()
threading.Thread(target=again, daemon=True).start()
under_way.wait()
        """,
        0,
        "",
    ),
    "a call waits for another thread's": (
        """
for _ in range(3):
    threading.Thread(target=endless, daemon=True).start()
under_way.wait()
        """,
        0,
        "",
    ),
    "sessions live to the very end": (
        """
class Cycle: pass
cycle = Cycle()
cycle.itself, cycle.session = cycle, session
sys.kept = ltx2.Session(sys.argv[2:])
sys.frames = sys.kept.t2v("a", seed=1, progress=lambda _, kept=sys.kept: None).frames
        """,
        0,
        "",
    ),
    "a handler at exit that makes a video": (
        """
@atexit.register
def late():
    session.t2v("a", seed=1)
    print("made", file=sys.stderr)
        """,
        0,
        "made\n",
    ),
    "a progress function that never returns": (
        """
import ltx2._calls
ltx2._calls.PATIENCE = 0.3
def stuck(progress):
    under_way.set()
    time.sleep(1000)
threading.Thread(target=endless, args=(stuck,), daemon=True).start()
under_way.wait()
print("kept")
        """,
        1,
        "a call did not stop in 0.3 s; the process ends at once, without Python's clean-up\n",
    ),
    "a fork while a picture is read": (
        """
from ltx2 import codecs
def reads():
    with codecs.quiet():
        under_way.set()
        time.sleep(0.1)
threading.Thread(target=reads).start()
under_way.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    with codecs.quiet():
        os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        """,
        0,
        "",
    ),
    "a fork during a call": (
        """
threading.Thread(target=endless, daemon=True).start()
under_way.wait()
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(30, exit=True)
    try:
        session.t2v("a")
    except ltx2.InvalidArgumentError as error:
        print(error, file=sys.stderr)
    session.close()
    with ltx2.Session(sys.argv[2:]) as other:
        other.t2v("a", seed=1)
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        """,
        0,
        "session: it was in use when the process was forked; open another\n",
    ),
}


def started(program: str, tiny_model: list[Path], delay: float = 0.0) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", BEGIN + program, str(delay), *map(str, tiny_model)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    with process:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


@pytest.fixture(scope="module")
def ends(tiny_model: list[Path]) -> dict[str, tuple[int, str, str]]:
    """What became of each program; two run at a time."""
    waiting, results = list(PROGRAMS), dict[str, Any]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(ltx2.__file__).parents[1]))
        patch.setenv("PYTHONSAFEPATH", "1")
        while waiting:
            names, waiting = waiting[:2], waiting[2:]
            for name, process in [(n, started(PROGRAMS[n][0], tiny_model)) for n in names]:
                results[name] = ended(process)
    return results


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals and forks")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_interpreter_ends_in_order(name: str, ends: dict[str, tuple[int, str, str]]) -> None:
    _, code, words = PROGRAMS[name]
    have, out, err = ends[name]
    assert have == code, err
    assert err.endswith(words)
    if code == 0:
        assert err == words
    assert out == ("kept\n" if code == 1 else "")


@pytest.mark.slow
@pytest.mark.parametrize("program", [DAEMON, THREAD_AND_CTRL_C])
def test_forty_ends_at_forty_moments(program: str, tiny_model: list[Path], command: None) -> None:
    for i in range(20):
        code, _, err = ended(started(program, tiny_model, 0.02 * i))
        assert code == (0 if program is DAEMON else -signal.SIGINT), err
