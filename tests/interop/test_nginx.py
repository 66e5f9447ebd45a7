"""This file holds requests and responses of every kind that have to pass nginx whole, on every way to penstock."""

from __future__ import annotations

import hashlib
import json
import socket
from http.client import IncompleteRead
from urllib.parse import quote, urlencode

import pytest

from tests.interop.backend import PLAIN, Gate, start
from tests.interop.nginx import Front, ask
from tests.interop.nginx import start as start_nginx
from tests.processes import PATIENCE

MIB = bytes(range(256)) * 4096


def asked_for(status: str, *headers: str, body: str = "") -> str:
    """The URL at which the sample application answers with just that."""
    return "/answer?" + urlencode({"status": status, "header": headers, "body": body}, doseq=True)


def test_get(browser):
    response, body = ask(browser, "GET", "/hello")
    assert (response.status, response.reason, body) == (200, "OK", b"hello, world\n")


def test_head_has_the_head_of_get_and_no_body_so_that_the_connection_goes_on(browser):
    head, nothing = ask(browser, "HEAD", "/hello")
    response, body = ask(browser, "GET", "/hello")
    assert nothing == b""
    assert body == b"hello, world\n"
    assert head.status == response.status == 200
    assert head.getheader("Content-Length") == response.getheader("Content-Length") == "13"


@pytest.mark.parametrize("size", [0, 1, 65536])
def test_a_body_arrives_whole(browser, size):
    sent = MIB[:size]
    _, body = ask(browser, "POST", "/echo", sent)
    said = json.loads(body)
    assert said["length"] == size
    assert said["sha256"] == hashlib.sha256(sent).hexdigest()
    assert int(said["content_length"] or 0) == size


def test_a_body_of_100_mib_arrives_whole(browser):
    digest = hashlib.sha256()
    for _ in range(100):
        digest.update(MIB)
    _, body = ask(browser, "POST", "/echo", (MIB for _ in range(100)), Content_Length=str(100 * len(MIB)))
    said = json.loads(body)
    assert (said["length"], said["sha256"]) == (100 * len(MIB), digest.hexdigest())


def test_a_chunked_body_without_a_length_arrives_whole(browser):
    sent = [b"a", b"bc", MIB[:100_000], b"d"]
    said = json.loads(ask(browser, "POST", "/echo", iter(sent), Transfer_Encoding="chunked")[1])
    assert said["length"] == 100_004
    assert said["sha256"] == hashlib.sha256(b"".join(sent)).hexdigest()
    assert said["content_length"] == "100004", "an application that stops at CONTENT_LENGTH would miss the body"


def test_a_streamed_response_arrives_chunk_by_chunk(browser, scratch):
    # The second chunk is only made once the client, which has read the first, opens the gate.
    with Gate(scratch) as gate:
        browser.request("GET", "/stream?" + urlencode({"gate": gate.path}))
        response = browser.getresponse()
        assert response.read(6) == b"first\n"
        gate.arrivals()
        gate.open()
        assert response.read() == b"second\n"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_keeps_its_headers(browser, status):
    response, body = ask(browser, "GET", asked_for(status, 'ETag:"x"'))
    assert f"{response.status} {response.reason}" == status
    assert response.getheader("ETag") == '"x"'
    assert body == b""
    assert ask(browser, "GET", "/hello")[1] == b"hello, world\n"


@pytest.mark.parametrize("status", ["201 Created", "301 Moved Permanently", "302 Found", "303 See Other"])
def test_a_location_does_not_change_the_status(browser, status):
    response, body = ask(browser, "POST", asked_for(status, "Location:/elsewhere", body="there"), b"x")
    assert f"{response.status} {response.reason}" == status
    assert response.getheader("Location", "").endswith("/elsewhere")
    assert body == b"there"


def test_repeated_response_headers_stay_apart(browser):
    response, _ = ask(browser, "GET", asked_for("200 OK", "Set-Cookie:a=1; Path=/", "Set-Cookie:b=2"))
    assert response.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]


def test_response_headers_of_3500_bytes_arrive_whole(browser):
    response, body = ask(browser, "GET", "/wide?bytes=3500")
    assert response.status == 200
    assert sum(value == "w" * 80 for name, value in response.getheaders() if name.startswith("X-Wide-")) == 37
    assert body == b"wide"


def test_many_repeated_and_double_request_headers_arrive(browser):
    browser.putrequest("GET", "/show", skip_accept_encoding=True)
    for number in range(25):
        browser.putheader(f"X-Number-{number}", f"value {number}")
    for value in ("one", "two"):
        browser.putheader("X-Twice", value)
        browser.putheader("Cookie", f"{value}=1")
    browser.putheader("Proxy", "http://evil.example/")
    browser.endheaders()
    environ = json.loads(browser.getresponse().read())
    assert [environ[f"HTTP_X_NUMBER_{number}"] for number in range(25)] == [f"value {number}" for number in range(25)]
    assert environ["HTTP_X_TWICE"] == "one, two"
    assert environ["HTTP_COOKIE"] == "one=1; two=1"
    assert not environ.get("HTTP_PROXY")


def test_a_path_is_decoded_as_bytes_and_request_uri_stays_raw(browser):
    target = "/show/a%20b%2Fc/" + quote("中文") + "/%ff?q=%2F+x"
    environ = json.loads(ask(browser, "GET", target)[1])
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"].encode("latin-1") == "/show/a b/c/中文/".encode() + b"\xff"
    assert environ["QUERY_STRING"] == "q=%2F+x"
    assert environ["REQUEST_URI"] == target


def test_200_connects_at_once_are_all_answered(web, front):
    clients = [socket.create_connection(("127.0.0.1", web.port(front)), PATIENCE) for _ in range(200)]
    try:
        for client in clients:
            client.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
        for number, client in enumerate(clients):
            with client.makefile("rb") as answer:
                said = answer.read()
            assert said.startswith(b"HTTP/1.1 200 "), (number, said)
            assert said.endswith(b"hello, world\n")
    finally:
        for client in clients:
            client.close()


def test_an_application_that_raises_at_once_is_a_500_with_a_reference_and_no_traceback(browser, backend, tracebacks):
    response, body = ask(browser, "GET", "/early?name=secret")
    assert response.status == 500
    assert b"secret" not in body
    assert b"Traceback" not in body
    log = "\n".join(backend.read_log())
    references = [word for word in body.decode().replace("<", " ").split() if len(word) == 10 and f"[{word}]" in log]
    assert references, "the page names no reference that is in the log"
    tracebacks.append("LookupError")


def test_an_application_that_raises_in_the_middle_leaves_a_response_that_is_seen_to_be_broken(browser, tracebacks):
    browser.request("GET", "/midway?name=broken", headers={"Connection": "close"})
    response = browser.getresponse()
    with pytest.raises(IncompleteRead):
        response.read()
    tracebacks.append("LookupError")


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_kept_connections_are_used_again(processes, nginx, sock_dir, transport, kept):
    bind = f"unix:{sock_dir}/app" if transport == "unix" else "127.0.0.1:0"
    backend = start(processes, "--log-level", "debug", bind=(bind,), app=PLAIN)
    front = Front(backend.addresses[0], kept)
    browser = start_nginx(processes, nginx, sock_dir, [front]).connect(front)
    # Without HEAD: nginx 1.22 closes after each, whatever was answered.
    for number in range(15):
        assert json.loads(ask(browser, "POST", "/echo", MIB[:number])[1])["length"] == number
        assert ask(browser, "GET", asked_for("304 Not Modified", body="x"))[0].status == 304
    browser.close()
    # At this level each connection has a number and each of its records a line; the last connection is read_log's own.
    begins = [line.split("#")[1].split()[0] for line in backend.read_log() if "< BEGIN_REQUEST" in line][:-1]
    assert len(begins) == 30
    assert len(set(begins)) == (1 if kept else 30)
    assert backend.process.stop() == 0
