"""The threads that compute: as many as asked for, none that wait awake, none left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ltx2
from ltx2._native import library_path

PROMPT = "a red circle moves right"
SMALL: ltx2.Options = {"width": 64, "height": 64, "frames": 9, "steps": 2, "seed": 3}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and sets Linux's limits")


def program(text: str, *arguments: object, cwd: Path) -> str:
    line = [sys.executable, "-c", text, *map(str, arguments)]
    ran = subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.usefixtures("model")
def test_any_number_of_threads_gives_the_same_video() -> None:
    videos = []
    for threads in (1, 2, 3):
        with ltx2.Session(threads=threads) as session:
            videos.append(session.t2v(PROMPT, **SMALL))
    for video in videos[1:]:
        assert np.array_equal(video.frames, videos[0].frames)
        assert np.array_equal(np.asarray(video.audio), np.asarray(videos[0].audio))


def test_any_number_of_threads_gives_the_same_latents(
    tiny_model: list[Path],
) -> None:
    bits = set()
    for threads in (1, 2, 3):
        with ltx2.Session(tiny_model, threads=threads) as session:
            video = session.t2v(PROMPT, seed=3)
            assert video.latents is not None
            bits.add(video.latents.tobytes())
    assert len(bits) == 1


@pytest.mark.usefixtures("model")
def test_sessions_in_two_threads_are_about_as_fast_as_one_after_the_other() -> None:
    sessions = [ltx2.Session(threads=2, keep_loaded=True) for _ in range(2)]
    alone = [session.t2v(PROMPT, **SMALL) for session in sessions]
    videos: dict[int, ltx2.Video] = {}

    def work(i: int) -> None:
        videos[i] = sessions[i].t2v(PROMPT, **SMALL)

    def seconds(*steps: list[int]) -> float:
        begin = time.perf_counter()
        for indices in steps:
            runs = [threading.Thread(target=work, args=(i,)) for i in indices]
            for run in runs:
                run.start()
            for run in runs:
                run.join()
        return time.perf_counter() - begin

    # Where threads that wait for each other keep the cores, side by side takes 50 times as long.
    rounds = [(seconds([0], [1]), seconds([0, 1])) for _ in range(2)]
    assert min(both / after for after, both in rounds) < 4
    for i, video in videos.items():
        assert np.array_equal(video.frames, alone[i].frames)
    for session in sessions:
        session.close()


def test_a_call_of_several_threads_can_be_stopped(tiny_model: list[Path]) -> None:
    with ltx2.Session(tiny_model, threads=3) as session:
        whole = session.t2v(PROMPT, seed=3)
        for stage in ("text", "denoise", "decode"):

            def stops(progress: ltx2.Progress, stage: str = stage) -> None:
                if progress.stage == stage:
                    session.cancel()

            with pytest.raises(ltx2.CancelledError):
                session.t2v(PROMPT, seed=3, progress=stops)
        assert np.array_equal(session.t2v(PROMPT, seed=3).frames, whole.frames)


IDLE = """
import os, sys, time, ltx2, numpy # which has threads of its own
def used(seconds):
    begin = time.process_time()
    time.sleep(seconds)
    return time.process_time() - begin
def threads():
    return len(os.listdir("/proc/self/task"))
between, most = {}, 0
def progress(p):
    global most
    most = max(most, threads())
    if p.done == 1 and p.stage not in between: # later ones come between operations of a graph
        between[p.stage] = used(0.1)
before = threads()
session = ltx2.Session(sys.argv[1:], threads=3, keep_loaded=True)
session.t2v("a dot", seed=1, steps=2, width=32, height=32, frames=1, progress=progress)
assert {"text", "denoise"} <= set(between)
print(max(between.values()), used(0.1), most - before, threads() - before)
"""


@linux
def test_threads_sleep_between_graphs_and_are_gone_after_the_call(
    tiny_model: list[Path], command: None, tmp_path: Path
) -> None:
    between, after, most, left = map(float, program(IDLE, *tiny_model, cwd=tmp_path).split())
    assert between < 0.02  # of 0.1 s; a thread that waits awake takes 0.1
    assert after < 0.02
    assert (most, left) == (2, 0)


LIMITED = """
import resource, sys, ltx2
options = {"width": 32, "height": 32, "frames": 1, "steps": 1, "seed": 1}
many = ltx2.Session(sys.argv[1:], threads=500)
one = ltx2.Session(sys.argv[1:], threads=1)
whole = one.t2v("a dot", **options)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
refused = []
for more in (200, 400, 800, 1600): # a thread takes 9 MiB: its stack, what matmuls work in
    resource.setrlimit(resource.RLIMIT_AS, (used + more * 2**20, -1))
    try:
        many.t2v("a dot", **options)
    except ltx2.OutOfMemoryError as error:
        refused.append("499 more threads" in str(error))
    assert (one.t2v("a dot", **options).frames == whole.frames).all()
print(len(refused), any(refused))
"""


@linux
@pytest.mark.unsanitized
def test_threads_that_the_system_does_not_give_are_an_error(
    tiny_model: list[Path], command: None, tmp_path: Path
) -> None:
    assert program(LIMITED, *tiny_model, cwd=tmp_path).split() == ["4", "True"]


FORKED = """
import os, sys, ltx2
session = ltx2.Session(sys.argv[1:], threads=3, keep_loaded=True)
whole = session.t2v("a dot", seed=1)
child = os.fork()
if child == 0:
    os._exit(0 if (session.t2v("a dot", seed=1).frames == whole.frames).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@linux
def test_a_session_goes_on_in_a_process_that_was_forked(
    tiny_model: list[Path], command: None, tmp_path: Path
) -> None:
    assert program(FORKED, *tiny_model, cwd=tmp_path).split() == ["0"]


LOADED = """
import ctypes, sys
ctypes.CDLL(sys.argv[1])
with open("/proc/self/maps") as file:
    print({line.split("/")[-1].split(".")[0] for line in file if ".so" in line})
"""


@linux
def test_the_library_needs_no_openmp(tmp_path: Path) -> None:
    names = program(LOADED, library_path, cwd=tmp_path)
    assert "libltx2" in names
    assert not [name for name in ("gomp", "libomp", "iomp") if name in names]
