"""`ltx2 serve` where something odd lies in the folder, or two things happen at once."""

from __future__ import annotations

import base64
import io
import os
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

import ltx2
from ltx2 import media

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")

from serving import serving, slow

from ltx2.request import CRF
from ltx2.serve import maker, store
from ltx2.serve.asked import Asked
from ltx2.serve.events import Events
from ltx2.serve.folder import Folder
from ltx2.video import Progress

ABOUT: dict[str, Any] = {
    "prompt": "a red circle", "seed": 2, "width": 32, "height": 32, "frames": 9, "fps": 8.0,
}  # fmt: skip
STILL = np.zeros((9, 32, 32, 3), np.uint8)


def picture(colour: str = "red") -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "png")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"input_reference": {"image_url": url}}


@pytest.mark.parametrize(
    "says",
    [
        {"prompt": "\ud800"},
        {"other": {"\udfff": 1}},
        {"frames": 10**400},
        {"width": True, "seed": 10**400, "fps": -(10**400)},
        {"images": [{"frame": 0, "strength": 10**400, "name": ""}], "crf": 10**400},
    ],
)
def test_a_clip_that_says_what_cannot_be_shown_hides_no_other(
    says: dict[str, Any], tmp_path: Path
) -> None:
    with serving(tmp_path) as client:
        made = client.create(**picture())
        client.until_it_is("completed", made["id"])
        for image in says.get("images", []):
            image["sha256"] = made["again"]["input_reference"]["file_id"]
        media.save(tmp_path / "odd.gif", STILL, 8, {**ABOUT, **says})
        media.save(tmp_path / "plain.gif", STILL, 8, ABOUT)
        shown = {video["file"]: video for video in client.get("/v1/videos")["data"]}
        assert {"plain.gif", made["file"]} <= shown.keys()
        assert shown.get("odd.gif", {}).get("size") in (None, "32x32")


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_clip_whose_name_is_no_text_hides_no_other(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        for name in (b"\xff.gif", b"plain.gif"):
            media.save(tmp_path / "made.gif", STILL, 8, ABOUT)
            os.rename(tmp_path / "made.gif", os.fsencode(tmp_path) + b"/" + name)  # noqa: PTH104
        assert [video["file"] for video in client.get("/v1/videos")["data"]] == ["plain.gif"]


def test_a_clip_that_goes_while_the_folder_is_read_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    class Going:
        """A folder whose files disappear as they are read, but for the first."""

        def __init__(self, path: Path) -> None:
            self.entries = sorted(scandir(path), key=lambda entry: entry.name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> Any:
            for entry in self.entries:
                if entry.name == "b.gif":
                    Path(entry.path).unlink()
                yield entry

    folder = Folder(tmp_path)
    for name in ("a.gif", "b.gif", "c.gif"):
        media.save(tmp_path / name, STILL, 8, ABOUT)
    monkeypatch.setattr(os, "scandir", Going)
    assert folder.clips().keys() == {"a.gif", "c.gif"}


def test_a_video_that_is_done_while_a_list_is_read_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = slow()
    clips = Folder.clips
    with serving(tmp_path, session) as client:
        first = client.create()["id"]
        http = next(thread for thread in threading.enumerate() if thread.name == "ltx2-http")

        def late(folder: Folder) -> dict[str, float]:
            found = clips(folder)
            caller = threading.current_thread()
            if caller.name != "ltx2-maker" and caller is not http:  # of the list
                monkeypatch.setattr(Folder, "clips", clips)
                session.may.release(100)
                client.until_it_is("completed", first)
                assert client.until_it_is("completed", client.create("another")["id"])
            return found

        monkeypatch.setattr(Folder, "clips", late)
        listed = client.get("/v1/videos")["data"]
        assert [video["prompt"] for video in listed] == ["another", "a red circle"]
        assert client.get(f"/v1/videos/{first}")["status"] == "completed"


def test_a_picture_of_what_is_not_made_does_not_stay(tmp_path: Path) -> None:
    with serving(tmp_path, slow()) as client:
        assert client.ask("POST", "/v1/plan", picture()).status == 200
        refused = client.ask("POST", "/v1/videos", {"prompt": "a", "width": 33, **picture()})
        assert refused.status == 400
        assert client.ask("POST", "/v1/videos", picture()).status == 400  # without a prompt
        assert list((tmp_path / "pictures").iterdir()) == []
        client.create(**picture())
        [kept] = (tmp_path / "pictures").iterdir()
        assert client.ask("POST", "/v1/plan", picture()).status == 200
        assert client.ask("POST", "/v1/videos", picture()).status == 400
        assert list((tmp_path / "pictures").iterdir()) == [kept]  # which another one needs


def test_a_picture_goes_with_the_last_clip_that_needs_it_however_that_goes(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        red, green = (client.create(**picture(colour)) for colour in ("red", "green"))
        for video in (red, green):
            client.until_it_is("completed", video["id"])
            hashed = video["again"]["input_reference"]["file_id"]
            image = {"frame": 0, "strength": 1.0, "name": "", "sha256": hashed}
            about = {**ABOUT, "images": [image], "crf": CRF}
            media.save(tmp_path / video["file"], STILL, 8, about)
        assert len(list((tmp_path / "pictures").iterdir())) == 2
        (tmp_path / red["file"]).unlink()
        client.get("/v1/videos")
        [kept] = (tmp_path / "pictures").iterdir()
        assert kept.stem == green["again"]["input_reference"]["file_id"]
    (tmp_path / "queue.sqlite").unlink()
    kept.with_name("0" * 64 + ".png").write_bytes(kept.read_bytes())  # as a server died
    with serving(tmp_path) as client:
        assert list((tmp_path / "pictures").iterdir()) == [kept]
        [video] = client.get("/v1/videos")["data"]
        assert video["again"]["input_reference"] == green["again"]["input_reference"]


def test_a_picture_that_cannot_be_removed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise PermissionError("in use")

    with serving(tmp_path) as client:
        names = [client.create(**picture(colour))["id"] for colour in ("red", "green", "blue")]
        for name in names:
            client.until_it_is("completed", name)
        monkeypatch.setattr(Folder, "drop_picture", failing)
        (tmp_path / f"{names[0]}.mp4").unlink()
        assert [video["id"] for video in client.get("/v1/videos")["data"]] == names[:0:-1]
        assert client.ask("DELETE", f"/v1/videos/{names[1]}").status == 200
        monkeypatch.undo()
    with serving(tmp_path):
        assert len(list((tmp_path / "pictures").iterdir())) == 1


def test_a_picture_that_is_asked_for_again_is_not_deleted_meanwhile(tmp_path: Path) -> None:
    session = slow(100)
    planning, deleting = threading.Event(), threading.Event()
    with serving(tmp_path, session) as client:
        first = client.create(**picture())
        client.until_it_is("completed", first["id"])
        plan = session.plan

        def planned(*arguments: Any, **options: Any) -> Any:
            planning.set()
            deleting.wait(0.5)  # it may wait for us
            return plan(*arguments, **options)

        session.plan = planned  # type: ignore[method-assign]

        def delete() -> None:
            planning.wait()
            assert client.ask("DELETE", f"/v1/videos/{first['id']}").status == 200
            deleting.set()

        thread = threading.Thread(target=delete)
        thread.start()
        second = client.create("again", **picture())
        thread.join()
        client.until_it_is("completed", second["id"])
        assert len(list((tmp_path / "pictures").iterdir())) == 1


def test_an_upload_that_is_empty_is_no_picture(tmp_path: Path) -> None:
    form = (
        '--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n--b\r\n'
        'Content-Disposition: form-data; name="input_reference"; filename="{}"\r\n'
        "Content-Type: image/png\r\n\r\n\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with serving(tmp_path) as client:
        answer = client.ask("POST", "/v1/videos", form.format("a.png").encode(), headers)
        assert answer.status == 400 and "picture: not an image" in answer.words
        chosen_none = client.ask("POST", "/v1/videos", form.format("").encode(), headers)
        assert chosen_none.status == 200, chosen_none.body


def test_the_last_that_is_told_of_a_video_is_that_it_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a page would show it for ever."""
    get, telling, gone = store.Store.get, threading.Event(), threading.Event()

    def late(self: store.Store, name: str) -> store.Entry | None:
        found = get(self, name)
        if threading.current_thread().name == "ltx2-maker" and found and listening.is_set():
            telling.set()
            gone.wait(0.5)  # the deletion may wait for us
        return found

    listening = threading.Event()
    monkeypatch.setattr(store.Store, "get", late)
    session = slow()
    with serving(tmp_path, session) as client:
        name = client.create()["id"]
        client.until(name, lambda video: video["step"] == 0)
        events = client.listen()
        listening.set()
        session.may.release()
        telling.wait()
        assert client.ask("DELETE", f"/v1/videos/{name}").status == 200
        gone.set()
        other = client.create("another")["id"]
        told = []
        for kind, about in events:
            if about["id"] == other:
                break
            told.append(kind)
        assert told[-1] == "deleted" and "video" not in told[told.index("deleted") :]


def test_a_clip_can_be_deleted_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = store.Store.remove

    def full(self: store.Store, file: str) -> None:
        if (tmp_path / "video.gif").exists():
            raise sqlite3.OperationalError("database or disk is full")
        remove(self, file)

    with serving(tmp_path) as client:
        media.save(tmp_path / "video.gif", STILL, 8, ABOUT)
        [video] = client.get("/v1/videos")["data"]
        monkeypatch.setattr(store.Store, "remove", full)
        assert client.ask("DELETE", f"/v1/videos/{video['id']}").status == 200
        assert client.get("/v1/videos")["data"] == []


def test_what_cannot_be_added_on_a_full_disk_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with serving(tmp_path) as client:
        made = client.until_it_is("completed", client.create()["id"])
        monkeypatch.setattr(store.Store, "add", full)
        media.save(tmp_path / "video.gif", STILL, 8, ABOUT)
        assert client.get("/v1/videos")["data"] == [made]


def test_whatever_happens_the_next_video_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, failures = store.Store.next, [RuntimeError("odd"), ValueError("a row is damaged")]

    def failing(self: store.Store) -> store.Entry | None:
        if failures:
            raise failures.pop()
        return turn(self)

    monkeypatch.setattr(maker, "_PAUSE", 0.01)
    monkeypatch.setattr(store.Store, "next", failing)
    with serving(tmp_path) as client:
        client.until_it_is("completed", client.create()["id"])


def test_what_cannot_be_told_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("ltx2.serve.maker.shown", failing)
    with serving(tmp_path, session := slow()) as client:
        monkeypatch.undo()
        name = client.create()["id"]
        client.until(name, lambda video: video["step"] == 0)
        monkeypatch.setattr("ltx2.serve.events.Events.send", failing)
        session.may.release(100)
        client.until_it_is("completed", name)


def test_of_many_reports_the_first_the_last_and_some_are_told() -> None:
    """Else pages that are slow to read them would be left behind."""
    plan = {"seconds": 4.0, "stages": [{"stage": "denoise", "seconds": 4.0}]}
    running = maker.Running(store.Entry("video_1", "video_1.mp4", Asked("a", {}), plan))
    running.expect()
    for stage in ("load", "denoise"):
        began = time.monotonic()
        told = [n for n in range(4001) if running.update(Progress(stage, n, 4000))]
        assert told[0] == 0 and told[-1] == 4000
        assert len(told) <= 3 + 10 * (time.monotonic() - began)
        assert running.seconds_left == (4.0 if stage == "load" else pytest.approx(0))


def test_an_end_that_comes_as_the_queue_is_looked_at_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(threading.Event):
        def clear(self) -> None:
            made.end()
            super().clear()

    monkeypatch.setattr(threading, "Event", Late)
    with store.Store(tmp_path / "queue.sqlite") as queue:
        made = maker.Maker(
            cast("ltx2.Session", slow()), queue, Folder(tmp_path), Events(), previews=False
        )
        monkeypatch.undo()
        made.daemon = True
        made.start()
        made.join(10)
        assert not made.is_alive()


def test_whoever_goes_in_the_middle_of_an_upload_is_no_fault_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as client:
        for kind in (b"application/json", b"multipart/form-data; boundary=b"):
            with socket.create_connection((client.host, client.port)) as gone:
                gone.sendall(
                    b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
                    b"Content-Type: " + kind + b"\r\nExpect: 100-continue\r\n\r\n--b"
                )
                assert b"100" in gone.recv(100)  # now it waits for the rest
        client.get("/v1/videos")
    assert caplog.records == []


def test_what_nobody_thought_of_is_an_answer_in_json_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: object) -> None:
        raise RuntimeError("odd")

    with serving(tmp_path) as client:
        monkeypatch.setattr(store.Store, "get", odd)
        answer = client.ask("GET", "/v1/videos/video_1")
        assert (answer.status, answer.words) == (500, "odd")
        assert answer.headers["x-content-type-options"] == "nosniff"
        for limit in ("0", "101", "1" * 5000, "\u00b2", "-1", "1_0"):
            path = "/v1/videos?limit=" + "".join(f"%{byte:02x}" for byte in limit.encode())
            answer = client.ask("GET", path)
            assert answer.status == 400 and "is not between 1 and 100" in answer.words
