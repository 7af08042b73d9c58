"""Who may ask a server: names, origins, tokens, sizes, and what answers say of themselves."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.parse
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ltx2

pytest.importorskip("uvicorn", reason="needs ltx2[serve]")
pytest.importorskip("starlette", reason="needs ltx2[serve]")
pytest.importorskip("python_multipart", reason="needs ltx2[serve]")

from serving import Client, Drawing, serving

from ltx2.serve import server

TOKEN = "a token of 24 characters"


def test_only_a_name_of_this_machine_is_answered(tmp_path: Path) -> None:
    """Else a site whose name is made to point here would be of our origin."""
    with serving(tmp_path, names=["Videos.example"]) as client:
        for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "192.0.2.1", "localhost.",
                     socket.gethostname(), "videos.example"):  # fmt: skip
            for port in ("", ":1", f":{client.port}"):
                answer = client.ask("GET", "/v1/models", headers={"Host": host + port})
                assert answer.status == 200, host
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "",
                     "evil.example:127.0.0.1", "[evil.example]", "127.0.0.1@evil.example",
                     "localhost:8188:1", "2130706433"):  # fmt: skip
            for path in ("/", "/v1/models", "/page/page.js", "/v1/events"):
                answer = client.ask("GET", path, headers={"Host": host})
                assert answer.status == 421 and "host" in answer.words, host


def test_another_site_can_do_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        here = f"127.0.0.1:{client.port}"
        ask = {"prompt": "a red circle"}
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": f"http://{here}.evil.example"},
            {"Origin": f"http://localhost:{client.port}"},  # other than the address it asks
            {"Origin": f"http://127.0.0.1:{client.port + 1}"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"},
        ):
            answer = client.ask("POST", "/v1/videos", ask, headers)
            assert answer.status == 403 and "origin" in answer.words, headers
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            assert client.ask("GET", "/v1/videos", headers=headers).status == 403
            assert client.ask("OPTIONS", "/v1/videos", headers=headers).status == 403
        assert client.get("/v1/videos")["data"] == []
        followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert client.ask("GET", "/", headers=followed).status == 200  # a link to the page
        for headers in ({"Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"}, {}):
            assert client.ask("POST", "/v1/videos", ask, headers).status == 200


def test_every_answer_says_what_a_browser_may_do_with_it(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        video = client.until_it_is("completed", client.create()["id"])
        for path in ("/", "/page/page.js", "/v1/videos", f"/v1/videos/{video['id']}/content",
                     "/v1/none", "/page/none"):  # fmt: skip
            headers = client.ask("GET", path).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["cross-origin-resource-policy"] == "same-origin"
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; ")
            assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert "access-control-allow-origin" not in headers and "server" not in headers
        assert client.ask("GET", "/page/page.js").headers["content-type"].startswith("text/javas")


def test_a_body_has_a_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltx2.serve.guard.MOST_BYTES", 10_000)
    long = b'{"prompt": "' + b"a" * 10_000 + b'"}'
    with serving(tmp_path) as client:
        headers = {"Content-Type": "application/json"}
        said = client.ask("POST", "/v1/videos", long, headers)
        assert said.status == 413 and "body: is larger" in said.words
        connection = http.client.HTTPConnection(client.host, client.port, timeout=60)
        pieces = iter([long[:6000], long[6000:]])  # which nobody says the size of before
        connection.request("POST", "/v1/videos", pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert client.get("/v1/videos")["data"] == []


@pytest.mark.parametrize("value", [b"[],", b"{},", b"1,", b"[["])
def test_json_of_very_many_values_is_not_read(value: bytes, tmp_path: Path) -> None:
    """It would take a gigabyte, and nobody else would be answered meanwhile."""
    body, headers = b'{"prompt": [' + value * 100_000, {"Content-Type": "application/json"}
    with serving(tmp_path) as client:
        answer = client.ask("POST", "/v1/videos", body, headers)
        assert answer.status == 400 and "has more than 100000 values" in answer.words


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "secret.png").write_bytes(b"secret")
    with serving(folder) as client:
        Image.new("RGB", (8, 8)).save(folder / "secret.png")
        for name in ("../secret", str(folder / "secret"), "secret"):
            fields = {"prompt": "a", "input_reference": {"file_id": name}}
            answer = client.ask("POST", "/v1/videos", fields)
            assert answer.status == 400 and "no picture that is kept" in answer.words
        for name in ("../secret.mp4", "..%2fsecret.mp4", "%2e%2e/secret.mp4", "queue.sqlite",
                     str(tmp_path / "secret.mp4"), "....//secret.mp4", "..%5csecret.mp4", "%00",
                     "../secret"):  # fmt: skip
            video = f"/v1/videos/{name}"
            for path in (video, f"{video}/content", f"{video}/preview", f"/v1/pictures/{name}",
                         f"/page/{name}", f"/{name}"):  # fmt: skip
                for method in ("GET", "DELETE"):
                    answer = client.ask(method, path)
                    assert answer.status in (404, 405) and answer.body[:6] != b"secret", path
    assert (tmp_path / "secret.mp4").read_bytes() == b"secret"


def test_with_a_token_nothing_is_answered_without_it(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as client:
        assert client.token == TOKEN
        assert client.ask("POST", "/v1/videos", {"prompt": "a"}).status == 200
        for token in (None, "", TOKEN[:-1], TOKEN + "x", "ä"):
            stranger = Client(f"http://{client.host}:{client.port}/")
            stranger.token = token and token.encode().decode("latin-1")
            for method, path in (("GET", "/v1/videos"), ("POST", "/v1/videos"),
                                 ("GET", "/v1/events"), ("GET", "/none")):  # fmt: skip
                answer = stranger.ask(method, path)
                assert answer.status == 401 and TOKEN.encode() not in answer.body
            answer = stranger.ask("GET", "/?token=" + urllib.parse.quote(token or ""))
            assert answer.status == 401 and b'name="token"' in answer.body
            assert (b"hidden>This is another one" in answer.body) is (not token)
            assert "set-cookie" not in answer.headers
            assert stranger.ask("GET", "/page/page.css").status == 200  # of the page that asks


def test_the_page_gets_a_cookie_for_the_token(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as client:
        browser = Client(f"http://{client.host}:{client.port}/")
        answer = browser.ask("GET", "/?token=" + urllib.parse.quote(TOKEN))
        assert answer.status == 200 and b"/page/page.js" in answer.body
        cookie, *about = answer.headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=strict"} <= set(about)
        assert str(client.port) in cookie and TOKEN not in cookie  # a machine's servers share them
        for path in ("/", "/v1/videos"):
            headers = {"Cookie": f"other=1; {cookie}"}
            assert browser.ask("GET", path, headers=headers).status == 200


def test_who_comes_through_a_proxy_needs_a_token(tmp_path: Path) -> None:
    """To us they seem to be of this machine."""
    with serving(tmp_path, names=["videos.example"]) as client:
        assert client.token and len(client.token) >= 32
        stranger = Client(f"http://{client.host}:{client.port}/")
        proxied = {"Host": "videos.example", "X-Forwarded-Proto": "https"}
        assert stranger.ask("GET", "/v1/videos", headers=proxied).status == 401
        assert stranger.ask("POST", "/v1/videos", {"prompt": "a"}, proxied).status == 401
        assert client.ask("GET", "/v1/videos", headers=proxied).status == 200
        entered = stranger.ask("GET", f"/?token={client.token}", headers=proxied)
        assert "Secure" in entered.headers["set-cookie"].split("; ")
        plain = stranger.ask("GET", f"/?token={client.token}")
        assert "Secure" not in plain.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "Videos.Example."])
def test_the_address_that_is_printed_is_answered(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo

    def known(name: str, *arguments: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if name == "Videos.Example." else name, *arguments, **options)

    if host == "::1" and not socket.has_ipv6:
        pytest.skip("needs IPv6")
    monkeypatch.setattr(socket, "getaddrinfo", known)
    with serving(tmp_path, host=host) as client:
        written = f"[{client.host}]" if ":" in client.host else client.host
        asked = {"Host": f"{written}:{client.port}"}
        client.host = "::1" if host == "::1" else "127.0.0.1"
        assert client.ask("GET", "/v1/models", headers=asked).status == 200


def test_others_than_this_machine_need_a_token(tmp_path: Path) -> None:
    with serving(tmp_path, host="0.0.0.0") as client:
        assert client.token and len(client.token) >= 32
        client.host = "127.0.0.1"
        assert client.get("/v1/videos")["data"] == []
        client.token = None
        assert client.ask("GET", "/v1/videos").status == 401
    with serving(tmp_path) as client:
        assert client.token is None
    for token, words in (("short", "is shorter than 16"), ("ä" * 16, "has other characters")):
        with (
            pytest.raises(ltx2.InvalidArgumentError, match=f"token: {words}"),
            serving(tmp_path, token=token),
        ):
            pass


@pytest.mark.parametrize("token", ["ab+cd/ef==gh+ij/kl==", "a#b&c=d%20e;f?g h i j"])
def test_the_address_has_the_token_whatever_its_signs(token: str, tmp_path: Path) -> None:
    with serving(tmp_path, token=token) as client:
        assert client.token == token and client.get("/v1/videos")["data"] == []


@pytest.mark.parametrize("host", ["..", "a" * 64, "no.such.host.example"])
def test_a_host_that_is_none_is_refused(host: str, tmp_path: Path) -> None:
    with (
        pytest.raises(ltx2.InvalidArgumentError, match="host: "),
        serving(tmp_path, host=host),
    ):
        pass


def test_who_says_nothing_keeps_nobody_else_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no token to connect."""
    monkeypatch.setattr(server, "_SILENCE", 2.0)
    with serving(tmp_path, slow := Drawing(threading.Semaphore(0)), token=TOKEN) as client:
        events = client.listen()  # these go on, however long that takes
        video = client.create()
        where = client.host, client.port
        silent = [socket.create_connection(where, 60) for _ in range(64)]
        silent[0].sendall(b"GET / HTTP/1.1\r\n")  # and no more
        refused = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        silent[1].sendall(refused)
        for connection in silent:
            with connection, suppress(ConnectionError):
                while connection.recv(10_000):
                    connection.sendall(b"a")
        assert client.get("/v1/videos")["data"][0]["id"] == video["id"]
        slow.may.release(100)
        assert any(about["status"] == "completed" for _, about in events)
    monkeypatch.setattr(server, "_SILENCE", 600)
    with serving(tmp_path) as client, ExitStack() as held:
        for _ in range(server._MOST_OPEN):
            held.enter_context(socket.create_connection((client.host, client.port), 60))
        with (
            socket.create_connection((client.host, client.port), 60) as beyond,
            suppress(ConnectionError),
        ):
            assert beyond.recv(1) == b""
