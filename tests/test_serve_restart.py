"""`ltx2 serve` after a restart: what goes on, what begins anew, and what is given up."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")

from serving import Drawing, serving, slow

from ltx2.serve.folder import Folder


def test_a_restart_goes_on_with_the_queue_where_it_was(tmp_path: Path) -> None:
    with serving(tmp_path, slow(2)) as client:
        names = [client.create(f"{n}")["id"] for n in range(3)]
        client.until(names[0], lambda video: video["step"] == 2)
        seeds = [client.get(f"/v1/videos/{name}")["seed"] for name in names]
    with serving(tmp_path, session := slow(100)) as client:
        for name in names:
            client.until_it_is("completed", name)
        assert [asked["begun"] for asked in session.asked] == [2, 0, 0]
        assert [asked["seed"] for asked in session.asked] == seeds
        listed = client.get("/v1/videos?order=asc")["data"]
        assert [video["id"] for video in listed] == names


def test_a_clip_that_was_saved_as_the_server_died_is_not_made_twice(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        done = client.until_it_is("completed", client.create()["id"])
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        database.execute("UPDATE videos SET status = 'in_progress'")
    database.close()
    with serving(tmp_path, session := slow()) as client:
        assert client.until_it_is("completed", done["id"])["metadata"] == done["metadata"]
        assert session.asked == []


def test_a_job_that_is_damaged_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    with serving(tmp_path, slow(1)) as client:
        name = client.create(seed=5)["id"]
        client.until(name, lambda video: video["step"] == 1)
    (tmp_path / "jobs" / f"{name}.job").write_text("{")
    with serving(tmp_path, session := slow()) as client:
        client.until(name, lambda video: video["step"] == 0)
        assert (tmp_path / "jobs" / f"{name}.damaged").read_text() == "{"
        session.may.release(100)
        client.until_it_is("completed", name)
        assert (session.asked[-1]["begun"], session.asked[-1]["seed"]) == (0, 5)
    assert list((tmp_path / "jobs").iterdir()) == []


def test_another_model_fails_what_this_one_began_and_destroys_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, slow(2)) as client:
        name = client.create()["id"]
        client.until(name, lambda video: video["step"] == 2)
    with serving(tmp_path, Drawing(model="another")) as client:
        failed = client.until_it_is("failed", name)
        assert "was begun with another model" in failed["error"]["message"]
    with serving(tmp_path, session := slow(100)) as client:
        assert client.ask("POST", f"/v1/videos/{name}/retry").status == 200
        client.until_it_is("completed", name)
        assert [asked["begun"] for asked in session.asked] == [2]


def test_a_job_that_cannot_be_read_for_once_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, slow(2)) as client:
        name = client.create()["id"]
        client.until(name, lambda video: video["step"] == 2)
    begin = Path.open

    def failing(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.suffix == ".job":
            raise OSError(errno.EMFILE, "Too many open files")
        return begin(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", failing)
    with serving(tmp_path, session := slow(100)) as client:
        failed = client.until_it_is("failed", name)
        assert failed["error"]["message"].endswith("cannot be read: Too many open files")
        monkeypatch.setattr(Path, "open", begin)
        assert client.ask("POST", f"/v1/videos/{name}/retry").status == 200
        client.until_it_is("completed", name)
        assert [asked["begun"] for asked in session.asked] == [2]


DYING = """
import os, sys, threading
from pathlib import Path
from serving import Drawing, serving

class Dying(Drawing):
    def _make(self, wanted, begun):
        if wanted["prompt"] == "large" and begun == int(sys.argv[2]):
            os._exit(9)
        return super()._make(wanted, begun)

with serving(Path(sys.argv[1]), Dying(threading.Semaphore(int(sys.argv[3])))) as client:
    client.until(sys.argv[4], lambda video: video["step"] == 2)
    os._exit(8)
"""


def test_a_video_that_ends_the_server_twice_is_given_up_and_the_next_is_made(
    tmp_path: Path,
) -> None:
    def dies(at: int, steps: int, code: int = 9) -> None:
        line = [sys.executable, "-c", DYING, str(tmp_path), str(at), str(steps), name]
        assert subprocess.run(line, cwd=Path(__file__).parent, check=False).returncode == code

    with serving(tmp_path, slow()) as client:
        name = client.create("large")["id"]
    dies(at=0, steps=0)
    dies(at=9, steps=2, code=8)  # but two more are saved
    with serving(tmp_path, slow()) as client:  # this one does not die
        client.until(name, lambda video: video["step"] == 2)
    dies(at=2, steps=0)
    with serving(tmp_path, session := slow(100)) as client:
        failed = client.until_it_is("failed", name)
        assert failed["error"]["code"] == "server_ended"
        assert "ended 2 times" in failed["error"]["message"]
        client.until_it_is("completed", client.create("small")["id"])
        assert client.ask("POST", f"/v1/videos/{name}/retry").status == 200
        client.until_it_is("completed", name)
        assert session.asked[-1]["begun"] == 2


def test_a_queue_of_before_ends_were_counted_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        client.until_it_is("completed", client.create()["id"])
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        database.execute("ALTER TABLE videos DROP COLUMN ended")
        database.execute("PRAGMA user_version = 1")
    database.close()
    with serving(tmp_path) as client:
        client.until_it_is("completed", client.create()["id"])
        assert len(client.get("/v1/videos")["data"]) == 2


def test_a_video_whose_plan_is_of_another_version_fails_and_the_next_is_made(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, slow()) as client:
        first, second = client.create()["id"], client.create()["id"]
    with sqlite3.connect(tmp_path / "queue.sqlite") as database:
        database.execute("UPDATE videos SET plan = '{}' WHERE id = ?", (first,))
    database.close()
    with serving(tmp_path) as client:
        client.until_it_is("completed", second)
        failed = client.get(f"/v1/videos/{first}")
        assert (failed["status"], failed["error"]["message"]) == ("failed", "KeyError('stages')")


def test_a_job_that_cannot_be_removed_is_no_secret_and_goes_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr(Folder, "drop_job", failing)
    with serving(tmp_path) as client:
        events = client.listen()
        name = client.create()["id"]
        assert any(about["status"] == "completed" for _, about in events)
    assert {path.stem for path in (tmp_path / "jobs").iterdir()} == {name}
    monkeypatch.undo()
    with serving(tmp_path):
        assert list((tmp_path / "jobs").iterdir()) == []


def test_a_start_that_fails_ends(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from serving import serving
from ltx2.serve import server

def failing(*_):
    raise RuntimeError("no thread can begin")

setattr(server, sys.argv[2], failing)
with serving(Path(sys.argv[1])):
    pass
"""
    for name in ("application", "_answering"):
        line = [sys.executable, "-c", program, str(tmp_path), name]
        run = subprocess.run(
            line, cwd=Path(__file__).parent, stderr=subprocess.PIPE, timeout=60, check=False
        )
        assert run.stderr.endswith(b"RuntimeError: no thread can begin\n"), run.stderr
