"""Downloads that go wrong, from a hub on this machine, by huggingface_hub itself."""

from __future__ import annotations

import errno
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import local_hub
import pytest
from hub_models import DIT, GGUF, NAME, VAE, begun, blob, is_right, partial
from local_hub import Hub, checksum, cut, says, sends, status, waits

import ltx2
from ltx2 import download, hub
from ltx2 import partial as partial_file


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between attempts: ours and huggingface_hub's."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


def test_a_download_goes_on_where_it_stopped(server: Hub) -> None:
    begun(server, 100_000)
    seen: list[ltx2.Progress] = []
    hub.pull(NAME, progress=seen.append)
    assert "bytes=100000-" in server.sent()
    assert is_right(server)
    total = sum(len(f) for f in server.repositories[GGUF].values())
    total += sum(len(f) for f in server.repositories["ggml-org/gemma-3-12b-it-qat-GGUF"].values())
    assert (seen[-1].done, seen[-1].total) == (total, total)


def test_a_progress_function_that_raises_stops_it_and_the_rest_is_kept(server: Hub) -> None:
    class EnoughError(Exception):
        pass

    def enough(progress: ltx2.Progress) -> None:
        if progress.done:
            raise EnoughError

    with pytest.raises(EnoughError):
        hub.pull(NAME, progress=enough)
    assert partial(server, GGUF, DIT).stat().st_size > 0
    assert not blob(server, GGUF, DIT).exists()
    hub.pull(NAME)
    assert is_right(server)


@pytest.mark.parametrize("size", [0, 500_000])
def test_a_connection_that_goes_is_taken_up_again(server: Hub, size: int) -> None:
    key = checksum(server.repositories[GGUF][DIT])
    server.faults[key] += [cut(size), cut(100_000), status(503), cut(0)]
    hub.pull(NAME)
    assert is_right(server)
    assert f"bytes={size + 100_000}-" in server.sent()


def test_a_server_that_knows_no_ranges_sends_all_of_it(server: Hub) -> None:
    begun(server, 100_000)
    server.faults[checksum(server.repositories[GGUF][DIT])].append(sends(bytes))
    hub.pull(NAME)
    assert is_right(server)


LOGIN = b"<html>log in first</html>" * 20


@pytest.mark.parametrize("before", [0, 300_000])
def test_a_login_page_in_place_of_a_file_costs_nothing_that_came(server: Hub, before: int) -> None:
    path = begun(server, before)
    data = server.repositories[GGUF][DIT]
    server.faults[checksum(data)] += [sends(lambda _: LOGIN)] * 3
    with pytest.raises(ConnectionError) as caught:
        hub.pull(NAME)
    assert f"what came makes {len(LOGIN)} bytes, not {len(data)}; " in str(caught.value)
    assert "force_download" not in str(caught.value)
    assert path.read_bytes() == data[:before]
    hub.pull(NAME)
    assert is_right(server)


def pull_what_stops(server: Hub, after: int) -> None:
    """All of it is sent where a part was asked for, so many bytes of it, and then no more."""

    def short(handler: local_hub._Handler) -> bool:
        return sends(bytes)(handler) or cut(after)(handler)

    server.faults[checksum(server.repositories[GGUF][DIT])] += [short, *[status(403)] * 3]
    with pytest.raises(ltx2.ModelError, match="403"):
        hub.pull(NAME)


def test_all_of_it_that_stops_half_way_costs_nothing_that_came(server: Hub) -> None:
    path = begun(server, 300_000)
    pull_what_stops(server, 100_000)
    assert path.read_bytes() == server.repositories[GGUF][DIT][:300_000]


def test_what_begins_anew_takes_the_place_once_it_is_much(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "PIECE", 60_000)
    path = begun(server, 300_000)
    pull_what_stops(server, 150_000)
    assert path.read_bytes() == server.repositories[GGUF][DIT][:150_000]
    server.faults.clear()
    hub.pull(NAME)
    assert is_right(server)


def test_a_hub_that_stays_down_is_told_and_nothing_is_lost(server: Hub) -> None:
    key = checksum(server.repositories[GGUF][DIT])
    server.faults[key] += [cut(200_000), *[status(502)] * 20]
    with pytest.raises(ConnectionError, match=f"{DIT}: .*502.*what has come is kept"):
        hub.pull(NAME)
    assert partial(server, GGUF, DIT).stat().st_size == 200_000
    server.faults.clear()
    hub.pull(NAME)
    assert is_right(server)


def test_no_hub_at_all_is_one_line(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    url = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    with pytest.raises(ConnectionError, match=f"{DIT}: the download failed: ") as caught:
        hub.pull(NAME)
    assert "\n" not in str(caught.value)
    assert "is kept" not in str(caught.value)  # nothing has come


def test_a_hub_that_no_attempt_can_reach_is_refused_at_once(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", "hf_schlüssel")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"^HF_TOKEN.*no token has"):
        hub.pull(NAME)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "ENDPOINT", "mirror.example")
    with pytest.raises(ltx2.InvalidArgumentError, match=r"^HF_ENDPOINT: mirror.example begins"):
        hub.pull(NAME)
    assert server.asked == []


@pytest.mark.parametrize("code", [400, 402, 451])
def test_a_file_that_is_refused_is_not_asked_for_again(server: Hub, code: int) -> None:
    server.faults[DIT] += [status(code)] * 3
    with pytest.raises(ltx2.ModelError, match=rf"{DIT}: the hub refuses it \({code}\); see http"):
        hub.pull(NAME)
    assert len(server.faults[DIT]) == 2


@pytest.mark.parametrize("damage", [
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: data + b"more",
], ids=["a bit", "longer"])  # fmt: skip
def test_what_comes_damaged_comes_again(
    server: Hub, damage: local_hub.Change, caplog: pytest.LogCaptureFixture
) -> None:
    key = checksum(server.repositories[GGUF][DIT])
    server.faults[key].append(sends(damage))
    hub.pull(NAME)
    assert f"{DIT}: came damaged; it is downloaded again" in caplog.text
    assert is_right(server)
    server.large[key] = b"other" + server.large[key][5:]
    blob(server, GGUF, DIT).unlink()
    with pytest.raises(ltx2.ModelError, match=f"{DIT}: what comes has not the checksum {key}"):
        hub.pull(NAME)
    assert not blob(server, GGUF, DIT).exists()
    assert not partial(server, GGUF, DIT).exists()


def test_a_file_that_was_damaged_here_is_named_and_comes_again(
    server: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.pull(NAME)
    path = blob(server, GGUF, VAE)
    data = bytearray(path.read_bytes())
    data[1000] ^= 4
    path.write_bytes(data)
    server.asked.clear()
    seen = set()
    hub.pull(NAME, progress=lambda p: seen.add(p.stage))
    assert f"{Path(VAE).name}: is damaged; it is downloaded again" in caplog.text
    assert path.read_bytes() == server.repositories[GGUF][VAE]
    assert seen == {"verify", "download"}
    assert len(server.sent()) == 1


def test_what_another_process_has_mended_meanwhile_stays(server: Hub) -> None:
    hub.pull(NAME)
    files = server.repositories[GGUF]
    path, good = blob(server, GGUF, VAE), files[VAE]
    path.write_bytes(bytes(len(good)))
    server.asked.clear()
    before = sum(len(data) for name, data in files.items() if not name.startswith("vae/"))
    assert len(good) > partial_file.PIECE

    def mended(progress: ltx2.Progress) -> None:
        if progress.done <= before or not path.exists():  # it is not read yet; we removed it
            return
        other = path.with_suffix(".new")
        other.write_bytes(good)
        other.replace(path)

    paths = hub.pull(NAME, progress=mended)
    assert paths[2].read_bytes() == good
    assert server.sent() == []


def test_a_cache_that_is_whole_is_only_read(server: Hub) -> None:
    hub.pull(NAME)
    reference = hub.storage(GGUF) / "refs" / "main"
    before = reference.stat()
    hub.pull(NAME)
    assert reference.stat() == before  # the same inode: it may be on a read-only file system


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read")
def test_a_disk_that_cannot_be_read_is_told_with_the_file(server: Hub) -> None:
    hub.pull(NAME)
    blob(server, GGUF, DIT).unlink()
    blob(server, GGUF, DIT).symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=f"Input/output error: '.*{DIT}'"):
        hub.pull(NAME)


@pytest.mark.parametrize("said", [
    {"X_Linked_Etag": '"../../../../etc/passwd"'},
    {"X_Linked_Etag": ""},
    {"X_Repo_Commit": "../../x"},
    {"X_Linked_Size": "many"},
], ids=["etag", "no etag", "commit", "size"])  # fmt: skip
def test_what_a_hub_says_is_not_believed_blindly(server: Hub, said: dict[str, str]) -> None:
    server.faults[DIT].append(says(**said))
    with pytest.raises(ltx2.ModelError, match=f"{DIT}: .* no commit, checksum or size"):
        hub.pull(NAME)
    assert server.sent() == []


@pytest.mark.parametrize("size", [1000, 10_000_000])
def test_a_wrong_size_is_found_out(server: Hub, size: int) -> None:
    server.faults[DIT].append(says(X_Linked_Size=str(size)))
    with pytest.raises((ltx2.ModelError, OSError), match=DIT):
        hub.pull(NAME)
    assert not blob(server, GGUF, DIT).exists()


def test_a_wrong_checksum_is_found_out(server: Hub) -> None:
    server.faults[DIT].append(says(X_Linked_Etag=f'"{"0" * 64}"'))
    with pytest.raises(ltx2.ModelError, match="has not the checksum 0000"):
        hub.pull(NAME)


def test_a_full_disk_is_told_with_the_file(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(self: partial_file.Partial, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partial_file.Partial, "write", write)
    with pytest.raises(OSError, match="No space left") as caught:
        hub.pull(NAME)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == f"{GGUF}/{DIT}"
    assert not server.sent()[1:]  # no second attempt


def test_a_newer_commit_is_taken_and_the_old_one_serves_until_then(server: Hub) -> None:
    before = hub.pull(NAME)
    server.repositories[GGUF][VAE] = server.repositories[GGUF][VAE][:-1] + b"\1"
    server.faults[checksum(server.repositories[GGUF][VAE])] += [status(404)] * 3
    with pytest.raises(ltx2.ModelError, match="404"):
        hub.pull(NAME)
    assert hub.model_set(NAME).paths() == before
    server.faults.clear()
    after = hub.pull(NAME)
    assert (after != before) and after[0].samefile(before[0])


def test_where_links_cannot_be_made_the_files_lie_there(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    paths = hub.pull(NAME)
    assert not any(path.is_symlink() for path in paths)
    server.asked.clear()
    assert hub.pull(NAME) == paths
    assert server.sent() == []


def test_huggingface_hub_finds_what_was_pulled(server: Hub) -> None:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    path = str(hub.pull(NAME)[0])
    assert try_to_load_from_cache(GGUF, DIT) == path
    server.asked.clear()
    assert hf_hub_download(GGUF, DIT) == path
    assert server.sent() == []


def test_its_messages_go_to_our_log(server: Hub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ltx2")
    handlers = list(logging.getLogger("huggingface_hub").handlers)
    server.faults[checksum(server.repositories[GGUF][DIT])] += [cut(1000), status(503)]
    hub.pull(NAME)
    assert {record.name for record in caplog.records} == {"ltx2"}
    assert f"{DIT}: the hub answered 503; trying again" in caplog.text
    assert "localhost" not in caplog.records[-1].getMessage()  # an address may hold a signature
    assert logging.getLogger("huggingface_hub").handlers == handlers


def test_its_warnings_are_warnings_without_what_may_be_a_signature(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with download._their_words():
        words = "Error while downloading from https://cdn.example/a?sig=x: broken\nTrying again"
        logging.getLogger("huggingface_hub").warning(words)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "Error while downloading from https://cdn.example/a: broken Trying again"
    )


def test_a_pull_that_waits_for_another_process_says_so_once(
    server: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub.utils import WeakFileLock

    monkeypatch.setattr(download, "_PATIENCE", 0.05)
    key = checksum(server.repositories[GGUF][DIT])
    lock = hub.cache() / ".locks" / hub.storage(GGUF).name / f"{key}.lock"
    lock.parent.mkdir(parents=True)
    ours = threading.Thread(target=lambda: hub.pull(NAME))
    words = f"{GGUF}/{DIT}: another process brings it; waiting"
    with WeakFileLock(str(lock)):
        ours.start()
        while words not in caplog.text:
            assert ours.is_alive()
    ours.join()
    assert caplog.text.count("another process brings it") == 1
    assert is_right(server)


# ---- processes


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ltx2", *arguments]
    return subprocess.Popen(command, stdout=-1, stderr=-1, stdin=subprocess.DEVNULL, text=True)


@pytest.fixture
def stalled(server: Hub) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The transformer's download stops half-way; when it has, and when it may go on.

    It is as large as lets huggingface_hub write something before that.
    """
    server.repositories[GGUF][DIT] = bytes(25_000_000)
    reached, until = threading.Event(), threading.Event()
    fault = waits(15_000_000, reached, until)
    server.faults[checksum(server.repositories[GGUF][DIT])].append(fault)
    yield reached, until
    until.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_pull_that_is_stopped_goes_on_later(
    server: Hub, stalled: tuple[threading.Event, threading.Event], command: None, number: int
) -> None:
    process = start("pull", NAME)
    assert stalled[0].wait(600)
    path = partial(server, GGUF, DIT)
    while not path.exists() or path.stat().st_size == 0:
        assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate()
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert err.splitlines()[-1] == "ltx2: cancelled"
    assert out == ""
    have = path.stat().st_size
    assert not blob(server, GGUF, DIT).exists()
    hub.pull(NAME)
    assert f"bytes={have}-" in server.sent()
    assert is_right(server)


def test_two_pulls_at_once_download_each_file_once(
    server: Hub, stalled: tuple[threading.Event, threading.Event], command: None
) -> None:
    other = start("pull", NAME)
    assert stalled[0].wait(600)
    server.asked.clear()
    paths: list[Path] = []
    ours = threading.Thread(target=lambda: paths.extend(hub.pull(NAME)))
    ours.start()
    while sum(method == "HEAD" for method, *_ in server.asked) < 4:  # it has looked them up
        assert ours.is_alive()
    stalled[1].set()
    out, err = other.communicate()
    ours.join()
    assert other.returncode == 0, err
    assert out.splitlines() == list(map(str, paths))
    assert is_right(server)
    assert len(server.sent()) == 4  # and the one before
