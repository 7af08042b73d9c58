"""`ltx2 serve` as a process: whatever ends it, the next one goes on to the same clip."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ltx2
from ltx2 import clips, media

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")

from serving import Client

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="sends signals"),
    pytest.mark.usefixtures("command", "model"),
]
SMALL: dict[str, Any] = {
    "width": 64,
    "height": 64,
    "frames": 9,
    "steps": 60,
    "seed": 3,
    "audio": False,
}


@contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    line = ["ltx2", "serve", "--port", "0", "--folder", str(folder), "--threads", "1", "--json"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            about = json.loads(run.stdout.readline())
            assert about == {"address": about["address"], "folder": str(folder)}
            yield run, Client(about["address"])
        finally:
            run.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_ends_the_server_loses_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with served(tmp_path) as (run, client):
        name = client.create(**SMALL)["id"]
        events = client.listen()  # which does not hold up the end
        next(events)
        client.until(name, lambda video: video["stage"] == "denoise" and video["step"] >= 3)
        run.send_signal(number)
        _, err = run.communicate(timeout=60)
        if number == signal.SIGTERM:
            assert run.returncode == 128 + number and err.endswith("\nltx2: cancelled\n"), err
    assert (tmp_path / "jobs" / f"{name}.job").exists() and not list(tmp_path.glob("*.mp4"))
    with served(tmp_path) as (_, client):
        drawn = (about["step"] for _, about in client.listen() if about["stage"] == "denoise")
        assert next(drawn) >= 3
        done = client.until_it_is("completed", name)
        assert done["model"] == client.get("/v1/models")["data"][0]["id"]
    whole = tmp_path / "whole.mp4"
    with ltx2.Session(threads=1) as session:
        session.t2v("a red circle", **SMALL).save(whole)
    made, _ = clips.frames(tmp_path / done["file"], None)
    assert (made == clips.frames(whole, None)[0]).all()
    about = media.read_metadata(whole)
    assert done["metadata"] == {**about, "date": done["metadata"]["date"]}
