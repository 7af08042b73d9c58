"""`ltx2 serve`: what can be asked over HTTP."""

from __future__ import annotations

import base64
import io
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import ltx2
from ltx2 import cli, media

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")

from serving import SIZES, STEPS, serving, slow

from ltx2.serve import maker, store


def picture(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "png")
    return file.getvalue()


def multipart(
    fields: Mapping[str, str] | Sequence[tuple[str, str]], file: bytes | None = None
) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in (fields.items() if isinstance(fields, Mapping) else fields)
    ]
    if file is not None:
        about = b'Content-Disposition: form-data; name="input_reference"; filename="../a.png"'
        parts.append(b"--b\r\n" + about + b"\r\nContent-Type: image/png\r\n\r\n" + file + b"\r\n")
    return b"".join(parts) + b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}


def test_a_video_is_asked_for_made_and_fetched(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        asked = client.create("a red circle", seed=7, size="96x64", seconds="2")
        assert (asked["object"], asked["model"], asked["size"]) == ("video", "drawing", "96x64")
        done = client.until_it_is("completed", asked["id"])
        assert done["progress"] == 100 and done["completed_at"] >= done["created_at"]
        assert (done["seed"], done["frames"], done["seconds"]) == (7, 17, "2.12")
        assert done["metadata"] == media.read_metadata(tmp_path / done["file"])

        path = f"/v1/videos/{asked['id']}"
        clip = client.ask("GET", f"{path}/content")
        assert clip.headers["Content-Type"] == "video/mp4"
        assert clip.body == (tmp_path / done["file"]).read_bytes()
        part = client.ask("GET", f"{path}/content", headers={"Range": "bytes=4-7"})
        assert (part.status, part.body) == (206, clip.body[4:8])  # as a player asks

        for name in (f"{path}/content", "/page/page.js"):
            known = {"If-None-Match": client.ask("GET", name).headers["etag"]}
            assert (client.ask("GET", name, headers=known).status, clip.status) == (304, 200)
        media.save(tmp_path / done["file"], np.zeros((9, 32, 32, 3), np.uint8), 8, done["metadata"])
        known = {"If-None-Match": clip.headers["etag"]}
        assert client.ask("GET", f"{path}/content", headers=known).status == 200  # another by now

        done = client.get(path)
        assert client.get("/v1/videos")["data"] == [done]
        assert client.get("/v1/models")["data"][0]["defaults"]["frames"] == SIZES["frames"]
        gone = client.ask("DELETE", path)
        assert gone.json == {"id": asked["id"], "object": "video.deleted", "deleted": True}
        assert client.ask("GET", path).status == 404
        assert not (tmp_path / done["file"]).exists() and not list((tmp_path / "jobs").iterdir())


def test_progress_and_previews_are_told_as_they_come(tmp_path: Path) -> None:
    session = slow()
    with serving(tmp_path, session) as client:
        events = client.listen()
        video = client.create()
        told: list[dict[str, Any]] = []
        for kind, about in events:
            assert (kind, about["id"]) == ("video", video["id"])
            told.append(about)
            if about["step"] is not None and about["stage"] == "denoise":
                session.may.release()
            if about["preview"]:
                shown = client.ask("GET", about["preview"])
                assert shown.headers["Content-Type"] == "image/webp" and shown.body[:4] == b"RIFF"
            if about["status"] == "completed":
                break
        statuses = list(dict.fromkeys(about["status"] for about in told))
        assert statuses[-2:] == ["in_progress", "completed"]
        steps = [about["step"] for about in told if about["step"] is not None]
        assert steps == sorted(steps) and set(steps) == set(range(STEPS + 1))
        assert sorted(about["progress"] for about in told) == [a["progress"] for a in told]
        assert told[-2]["progress"] == 75  # of the plan's four seconds, three
        assert client.ask("GET", f"/v1/videos/{video['id']}/preview").status == 404


@pytest.mark.parametrize("way", ["multipart", "json"])
def test_a_picture_is_the_first_frame_and_kept_as_long_as_it_is_needed(
    way: str, tmp_path: Path
) -> None:
    session = slow(100)
    with serving(tmp_path, session) as client:
        if way == "multipart":
            body, headers = multipart({"prompt": "it moves", "seed": "3"}, picture())
            answer = client.ask("POST", "/v1/videos", body, headers)
        else:
            url = "data:image/png;base64," + base64.b64encode(picture()).decode()
            fields = {"prompt": "it moves", "seed": 3, "input_reference": {"image_url": url}}
            answer = client.ask("POST", "/v1/videos", fields)
        assert answer.status == 200, answer.body
        video = client.until_it_is("completed", answer.json["id"])
        reference = answer.json["again"]["input_reference"]
        [kept] = (tmp_path / "pictures").iterdir()
        assert kept.stem == reference["file_id"]
        assert session.asked[0]["image"] == kept and session.asked[0]["seed"] == 3
        assert np.array_equal(
            np.asarray(Image.open(kept)), np.asarray(Image.new("RGB", (40, 30), "red"))
        )
        shown = client.ask("GET", f"/v1/pictures/{kept.stem}").headers
        assert shown["Content-Type"] == "image/png" and "immutable" in shown["Cache-Control"]

        other = client.create("again", input_reference=reference)
        client.until_it_is("completed", other["id"])
        assert client.ask("DELETE", f"/v1/videos/{video['id']}").status == 200
        assert kept.exists()
        assert client.ask("DELETE", f"/v1/videos/{other['id']}").status == 200
        assert not kept.exists()


@pytest.mark.parametrize("seed", [2**53 - 1, 2**53, 2**64 - 1])
def test_a_seed_is_text_where_javascript_would_round_it(seed: int, tmp_path: Path) -> None:
    with serving(tmp_path, session := slow(100)) as client:
        video = client.until_it_is("completed", client.create(seed=seed)["id"])
        exact = seed if seed < 2**53 else str(seed)
        assert video["seed"] == video["again"]["seed"] == exact
        client.until_it_is("completed", client.create(**video["again"])["id"])
        assert [asked["seed"] for asked in session.asked] == [seed, seed]


def test_a_list_in_a_form_is_what_it_is_in_json(tmp_path: Path) -> None:
    with serving(tmp_path, session := slow(100)) as client:
        for frames in (["8"], ["8", "16"]):
            fields = [("prompt", "a"), *(("generated_keyframes[]", frame) for frame in frames)]
            answer = client.ask("POST", "/v1/videos", *multipart(fields))
            assert answer.status == 200, answer.body
            client.until_it_is("completed", answer.json["id"])
        assert [asked["generated_keyframes"] for asked in session.asked] == ["8,", "8, 16"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "prompt: is missing"),
        ({"prompt": "  "}, "prompt: is missing"),
        ({"prompt": 3}, "prompt: is missing"),
        ({"prompt": "a", "width": 33}, "width: 33 is not a multiple of 32"),
        ({"prompt": "a", "width": "wide"}, "width: 'wide' is no number"),
        ({"prompt": "a", "width": True}, "width: True is not a whole number"),
        ({"prompt": "a", "steps": 1.5}, "steps: 1.5 is not a whole number"),
        ({"prompt": "a", "schedule": 3}, "schedule: 3 is not text"),
        ({"prompt": "a", "audio": 1}, "audio: 1 is not true or false"),
        ({"prompt": "a", "size": "\u0663\u0662x32"}, "is not WIDTHxHEIGHT"),
        ({"prompt": "a", "size": "large"}, "size: 'large' is not WIDTHxHEIGHT"),
        ({"prompt": "a", "seconds": "long"}, "seconds: 'long' is no number"),
        ({"prompt": "a", "seconds": True}, "seconds: True is no number"),
        ({"prompt": "a", "seconds": [1]}, "seconds: [1] is no number"),
        ({"prompt": "a", "seconds": -5}, "seconds: -5 is not above 0"),
        ({"prompt": "a", "noise": [1]}, "noise: is no field; there are audio, "),
        ({"prompt": "a", "model": "sora-2"}, "model: 'sora-2' is not served here; 'drawing' is"),
        ({"prompt": "a", "input_reference": {"image_url": "http://h/a.png"}}, "input_reference: "),
        ({"prompt": "a", "input_reference": {"file_id": "../queue"}}, "is no picture that is kept"),
        (
            {"prompt": "a", "input_reference": {"image_url": "data:image/png;base64,QUJD"}},
            "picture: not an image",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_before_it_waits(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with serving(tmp_path) as client:
        answer = client.ask("POST", "/v1/videos", fields)
        assert answer.status == 400 and words in answer.words
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert client.get("/v1/videos")["data"] == []
        assert list((tmp_path / "pictures").iterdir()) == []


def test_bodies_that_are_none_are_refused(tmp_path: Path) -> None:
    json_type = {"Content-Type": "application/json"}
    with serving(tmp_path) as client:
        for body, headers, status in [
            (b"{", json_type, 400),
            (b"[]", json_type, 400),
            (b'{"prompt": "a", "guidance": NaN}', json_type, 400),
            (b"[" * 100_000, json_type, 400),
            (b"prompt=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
            (b'{"prompt": "a"}', {"Content-Type": "text/plain"}, 415),
            (b"--b", {"Content-Type": "multipart/form-data; boundary=b"}, 400),
            (multipart({"prompt": "a", "more": "b"}, picture())[0], multipart({})[1], 400),
            (multipart({f"f{i}": "b" for i in range(100)})[0], multipart({})[1], 400),
        ]:
            answer = client.ask("POST", "/v1/videos", body, headers)
            assert answer.status == status, (body[:50], answer.body)
        for path in ("/v1/videos?limit=0", "/v1/videos?limit=x", "/v1/videos?order=up",
                     "/v1/videos?status=lost"):  # fmt: skip
            assert client.ask("GET", path).status == 400


def test_the_plan_is_told_for_what_would_be_asked(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        planned = client.ask("POST", "/v1/plan", {"size": "128x64", "seconds": 1})
        assert planned.json["width"] == 128 and planned.json["seconds"] == 4.0
        assert client.ask("POST", "/v1/plan", {"width": 33}).status == 400


def test_cancelling_stops_one_and_the_next_begins(tmp_path: Path) -> None:
    session = slow(2)
    with serving(tmp_path, session) as client:
        first, second, third = (client.create(f"{n}", seed=n)["id"] for n in (1, 2, 3))
        client.until(first, lambda video: video["step"] == 2)
        for name in (second, first):
            assert client.ask("POST", f"/v1/videos/{name}/cancel").json["status"] == "cancelled"
        client.until_it_is("in_progress", third)
        session.may.release(100)
        client.until_it_is("completed", third)
        assert client.ask("POST", f"/v1/videos/{third}/cancel").status == 400
        assert [asked["prompt"] for asked in session.asked] == ["1", "3"]
        # A change of mind goes on where it was; what had not begun begins.
        for name, begun in ((first, 2), (second, 0)):
            assert client.ask("POST", f"/v1/videos/{name}/retry").json["status"] != "cancelled"
            client.until_it_is("completed", name)
            assert session.asked[-1]["begun"] == begun
    assert list((tmp_path / "jobs").iterdir()) == []  # at the latest when the server has ended


def test_a_video_that_is_cancelled_as_its_turn_comes_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = store.Store.next
    asked: list[str] = []

    def cancelled(self: store.Store) -> store.Entry | None:
        entry = turn(self)
        if entry and entry.asked.prompt == "first":
            path = f"/v1/videos/{entry.id}/cancel"
            asked.append(client.ask("POST", path).json["status"])
        return entry

    monkeypatch.setattr(store.Store, "next", cancelled)
    with serving(tmp_path, session := slow(100)) as client:
        first, second = client.create("first")["id"], client.create("second")["id"]
        client.until_it_is("completed", second)
        assert asked == ["cancelled"] and client.get(f"/v1/videos/{first}")["status"] == "cancelled"
        assert [made["prompt"] for made in session.asked] == ["second"]


def test_deleting_what_is_being_made_leaves_nothing(tmp_path: Path) -> None:
    session = slow(1)
    with serving(tmp_path, session) as client:
        first, second = client.create()["id"], client.create()["id"]
        client.until(first, lambda video: video["step"] == 1)
        assert client.ask("DELETE", f"/v1/videos/{first}").status == 200
        session.may.release(100)
        client.until_it_is("completed", second)
        assert [video["id"] for video in client.get("/v1/videos")["data"]] == [second]
    assert [path.name for path in tmp_path.glob("*.mp4")] == [f"{second}.mp4"]
    assert list((tmp_path / "jobs").iterdir()) == []


def test_what_fails_says_why_and_can_be_tried_again(tmp_path: Path) -> None:
    session = slow(100)
    session.fails = ltx2.OutOfMemoryError("memory: 3 GiB are missing")
    with serving(tmp_path, session) as client:
        name = client.create()["id"]
        failed = client.until_it_is("failed", name)
        words = {"code": "out_of_memory_error", "message": "memory: 3 GiB are missing"}
        assert failed["error"] == words and failed["seconds_left"] is None
        session.fails = None
        client.ask("POST", f"/v1/videos/{name}/retry")
        assert client.until_it_is("completed", name)["error"] is None
        assert session.asked[-1]["begun"] == STEPS - 1


def test_a_list_is_read_page_by_page(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        names = [client.create(f"{n}")["id"] for n in range(5)]
        for name in names:
            client.until_it_is("completed", name)
        read, after = [], ""
        while True:
            page = client.get(f"/v1/videos?limit=2&status=completed{after}")
            read += [video["id"] for video in page["data"]]
            if not page["has_more"]:
                break
            after = f"&after={page['last_id']}"
        assert read == names[::-1]
        assert client.get("/v1/videos?status=failed")["data"] == []
        assert client.ask("GET", "/v1/videos?after=video_none").status == 404
        (tmp_path / f"{names[2]}.mp4").unlink()  # by hand, since the last list
        assert client.ask("GET", f"/v1/videos?after={names[2]}").status == 404


def test_clips_from_elsewhere_are_in_the_gallery_by_what_they_say(tmp_path: Path) -> None:
    about = {"prompt": "a\nb", "seed": 2, "width": 32, "height": 32, "frames": 9, "fps": 8.0}
    still = np.zeros((9, 32, 32, 3), np.uint8)
    outside = tmp_path / "outside.mp4"
    media.save(outside, still, 8, about)
    folder = tmp_path / "videos"
    with serving(folder) as client:
        media.save(folder / "one.gif", still, 8, {**about, "images": [], "crf": None})
        media.save(folder / "two.mp4", still, 8, {**about, "source": {"sha256": ""}})
        media.save(folder / "three.webp", still, 8, {**about, "seed": float("nan")})
        media.save(folder / "four.webp", still, 8, {**about, "width": "<b>", "fps": [1]})
        (folder / "five.mp4").write_bytes(b"no clip")
        (folder / "six.mp4").symlink_to(outside)
        listed = {video["file"]: video for video in client.get("/v1/videos")["data"]}
        assert listed.keys() == {"one.gif", "two.mp4", "four.webp"}
        assert listed["one.gif"]["again"] == {**about, "prompt": "a\nb"}
        assert listed["two.mp4"]["again"] is None and listed["four.webp"]["size"] is None
        clip = client.ask("GET", f"/v1/videos/{listed['one.gif']['id']}/content")
        assert clip.headers["Content-Type"] == "image/gif"
        (folder / "one.gif").unlink()
        assert "one.gif" not in {v["file"] for v in client.get("/v1/videos")["data"]}
        # Replaced by a link, it is no longer there either.
        (folder / "two.mp4").unlink()
        (folder / "two.mp4").symlink_to(outside)
        path = f"/v1/videos/{listed['two.mp4']['id']}/content"
        assert client.ask("GET", path).status == 404


def test_a_folder_has_one_server_and_a_queue_that_can_be_read(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "one"),
        pytest.raises(ltx2.InvalidArgumentError, match="another server works there"),
        serving(tmp_path / "one"),
    ):
        pass
    for content in (b"no database, but longer than its header" * 9, None):
        folder = tmp_path / f"two{content is None}"
        folder.mkdir()
        queue = folder / "queue.sqlite"
        if content:
            queue.write_bytes(content)
        else:
            with sqlite3.connect(queue) as database:
                database.execute("PRAGMA user_version = 99")
            database.close()
        with (
            pytest.raises(ltx2.InvalidArgumentError, match=r"queue\.sqlite: is no queue"),
            serving(folder),
        ):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(ltx2.InvalidArgumentError, match="as a folder"), serving(tmp_path / "file"):
        pass


def test_a_port_that_is_taken_is_an_error_before_any_work(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "one") as client,
        pytest.raises(ltx2.InvalidArgumentError, match=f"port: 127.0.0.1:{client.port}: "),
        serving(tmp_path / "two", port=client.port),
    ):
        pass
    assert not (tmp_path / "two").exists()


def test_the_queue_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltx2.serve.videos._MOST_WAITING", 2)
    with serving(tmp_path, slow()) as client:
        client.create(), client.create()
        assert client.ask("POST", "/v1/videos", {"prompt": "a"}).status == 429


def test_a_full_disk_is_said_and_the_queue_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(maker, "_PAUSE", 0.01)
    finish = store.Store.finish
    left = [3]

    def full(self: Any, *arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return finish(self, *arguments)

    monkeypatch.setattr(store.Store, "finish", full)
    with serving(tmp_path) as client:
        name = client.create()["id"]
        client.until_it_is("completed", name)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["serve: database or disk is full; it is tried again"] * 3


def test_the_page_is_whole_and_asks_nobody_else() -> None:
    from ltx2.serve.app import PAGE

    names = {path.name for path in PAGE.iterdir()}
    assert {"index.html", "token.html", "page.css", "page.js"} <= names
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "http:" not in text and "https:" not in text and "innerHTML" not in text, path.name
        assert text.count("\n") <= 500
        for used in ("style=", "onclick=", "<script>"):  # which the policy would refuse
            assert used not in text, path.name


def test_without_the_extra_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "ltx2.serve.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert cli.main(["serve"]) == 2
    assert "pip install 'ltx2[serve]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
