"""Lists of jobs over a Dask cluster, whose workers die, fail and are called back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ltx2
from ltx2 import batch, cli, cluster

distributed = pytest.importorskip("distributed", reason="needs distributed, of ltx2[dask]")

# Its own, and those of what it is built on.
pytestmark = pytest.mark.filterwarnings("ignore")

JOB: dict[str, Any] = {
    "prompt": "a red circle moves right", "frames": 9, "width": 64, "height": 64, "steps": 4,
    "audio": False,
}  # fmt: skip


def jobs(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{**JOB, "seed": i, "output": f"{i}.gif", **more} for i in range(count)]


def states(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("*.gif")}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Of two processes."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as workers,
        distributed.Client(workers, set_as_default=False) as opened,
    ):
        yield opened


def test_the_command_gives_a_list_to_the_cluster(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "jobs.jsonl"
    lines = [*jobs(2), *jobs(1, frames=10, output="bad.gif")]
    path.write_text("\n".join(map(json.dumps, lines)))
    address = client.scheduler.address
    arguments = ["batch", str(path), "-o", str(tmp_path), "--scheduler", address]
    assert cli.main(arguments) == 2
    printed, said = capsys.readouterr()
    assert sorted(printed.splitlines()) == [f"{tmp_path}/{i}.gif" for i in range(2)]
    assert "ltx2: bad.gif: frames: 10 is not 8k+1" in said
    assert "ltx2: 2 made, 0 there already, 1 failed\n" in said


def test_a_job_that_failed_goes_to_another_worker(client: Any) -> None:
    one, other = client.nthreads()
    executor = client.get_executor()
    where = cluster.elsewhere(executor, (one,))
    assert where["workers"] == [other]
    assert [executor.submit(cluster.place, **where).result() for _ in range(3)] == [other] * 3
    assert cluster.elsewhere(executor, (one, other)) == {"pure": False}


def test_ctrl_c_calls_the_workers_back(client: Any, tmp_path: Path) -> None:
    """What they have begun too."""

    def busy() -> bool:
        return any(client.run(lambda dask_worker: bool(dask_worker.active_threads)).values())

    def stop() -> None:
        while not busy():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop).start()
    with pytest.raises(KeyboardInterrupt):
        batch.generate(jobs(2, steps=1000), client.get_executor(), folder=tmp_path, threads=1)
    while busy():
        time.sleep(0.02)
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_is_none_is_refused() -> None:
    with pytest.raises(ltx2.InvalidArgumentError, match=r"^scheduler: nonsense://x: "):
        cluster.connect("nonsense://x")


def test_a_worker_that_dies_takes_no_clip_with_it(client: Any, tmp_path: Path) -> None:
    """Every clip is there, and none was made twice. The last test: the worker may not come back."""
    pids = client.run(os.getpid)
    before: dict[str, tuple[int, int]] = {}

    def kill_the_other(outcome: batch.Outcome) -> None:
        if not before:
            before.update(states(tmp_path))
            os.kill(next(pid for place, pid in pids.items() if place != outcome.place), 9)

    outcomes = batch.generate(
        jobs(8), client.get_executor(), folder=tmp_path, threads=1, done=kill_the_other
    )
    assert [outcome.error for outcome in outcomes] == [None] * 8
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{i}.gif" for i in range(8)]
    assert before
    assert {name: states(tmp_path)[name] for name in before} == before
