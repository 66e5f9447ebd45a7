"""This file tests `penstock request` as a program, against `penstock serve` and against targets that misbehave."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.protocol import records
from penstock.protocol.spec import RecordType
from tests.processes import PATIENCE, PENSTOCK

ECHO = """\
import json
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/env":
        body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    start_response("201 Made", [("Content-Type", "application/octet-stream"), ("X-Twice", "a"), ("X-Twice", "b")])
    return [body]
"""


@pytest.fixture
def echo(serve, blog) -> str:
    """The address of an application that answers with the body it got, and at /env with its environ."""
    (blog / "echo.py").write_text(ECHO)
    address: str = serve("--no-access-log", app="echo")[1]
    return address


@contextmanager
def target(path: Path, answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A listener that treats its first connection as `answer` does."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve_one() -> None:
        try:
            peer = listener.accept()[0]
        except OSError:
            return  # nobody came
        with peer:
            answer(peer)

    thread = threading.Thread(target=serve_one)
    thread.start()
    try:
        yield f"unix:{path}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def read_request(peer: socket.socket) -> None:
    """Read up to the end of STDIN."""
    reader = records.RecordReader()
    while not any(kind == RecordType.STDIN and not content for kind, _, content in reader.feed(peer.recv(65536))):
        pass


def says(answer: bytes) -> Callable[[socket.socket], None]:
    """Read the request, answer with these bytes, and close."""

    def speak(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(answer)

    return speak


def test_the_body_goes_to_standard_output_byte_for_byte(penstock, echo):
    body = bytes(range(256)) * 400
    ended = penstock("request", echo, "/", "--data-binary", "-", stdin=body)
    assert ended.returncode == 0
    assert ended.stdout == body
    assert ended.stderr == b""


def test_i_shows_the_head_too(penstock, echo):
    assert penstock("request", echo, "/", "-i", "-d", "x").stdout == (
        b"Status: 201 Made\nContent-Type: application/octet-stream\nX-Twice: a\nX-Twice: b\nContent-Length: 1\n\nx"
    )


def test_v_shows_every_record_with_its_direction_on_standard_error(penstock, echo):
    ended = penstock("request", echo, "/p?q=1", "-v", "-d", "abc")
    assert ended.stdout == b"abc"
    lines = ended.stderr.decode().splitlines()
    assert lines[0] == "> BEGIN_REQUEST id=1 role=RESPONDER flags=0"
    assert ">     REQUEST_METHOD = POST" in lines
    assert ">     QUERY_STRING = q=1" in lines
    assert lines[lines.index("> PARAMS id=1 end") + 1 :][:2] == ["> STDIN id=1 3 bytes b'abc'", "> STDIN id=1 end"]
    assert lines[-1] == "< END_REQUEST id=1 app_status=0 protocol_status=REQUEST_COMPLETE"
    assert all(line[:2] in ("> ", "< ") for line in lines)
    assert any(line.startswith("< STDOUT id=1 ") for line in lines)


def test_method_headers_and_parameters_arrive(penstock, echo):
    ended = penstock(
        "request", echo, "/env", "-X", "PUT", "-H", "X-Colour: grün", "-H", "Host: blog.example:81",
        "-p", "REMOTE_USER=ada", "-p", "SERVER_SOFTWARE=", "-p", "REMOTE_ADDR",
    )  # fmt: skip
    environ = json.loads(ended.stdout)
    assert environ["REQUEST_METHOD"] == "PUT"
    assert environ["HTTP_X_COLOUR"].encode("latin-1").decode() == "grün"
    assert (environ["HTTP_HOST"], environ["SERVER_PORT"]) == ("blog.example:81", "81")
    assert environ["REMOTE_USER"] == "ada"
    assert environ["SERVER_SOFTWARE"] == ""
    assert "REMOTE_ADDR" not in environ
    assert environ["HTTP_USER_AGENT"].startswith("penstock/")


def test_data_is_a_form_unless_a_header_says_otherwise(penstock, echo):
    environ = json.loads(penstock("request", echo, "/env", "-d", "a=1").stdout)
    assert (environ["REQUEST_METHOD"], environ["CONTENT_TYPE"]) == ("POST", "application/x-www-form-urlencoded")
    environ = json.loads(penstock("request", echo, "/env", "-d", "{}", "-H", "content-type: text/json").stdout)
    assert environ["CONTENT_TYPE"] == "text/json"
    environ = json.loads(penstock("request", echo, "/env").stdout)
    assert environ["REQUEST_METHOD"] == "GET"
    assert "CONTENT_TYPE" not in environ


def test_data_comes_from_the_line_a_file_or_standard_input_as_with_curl(penstock, echo, blog):
    (blog / "data").write_bytes(b"one\r\ntwo\n")
    cases: list[tuple[list[str], bytes]] = [
        (["-d", "a", "-d", "b=ü"], "a&b=ü".encode()),
        (["-d", "@data"], b"onetwo"),
        (["-d", "@-"], b"input"),
        (["-d", "-"], b"-"),
        (["-d", ""], b""),
        (["--data-binary", "@data"], b"one\r\ntwo\n"),
        (["--data-binary", "@-"], b"in\nput\n"),
        (["--data-binary", "-"], b"in\nput\n"),
        (["-d", "x", "--data-binary", "@data"], b"x&one\r\ntwo\n"),
    ]
    for arguments, body in cases:
        assert penstock("request", echo, "/", *arguments, stdin=b"in\nput\n").stdout == body, arguments


def test_the_length_of_a_file_is_announced(penstock, echo, blog):
    (blog / "data").write_bytes(b"x" * 70_000)
    environ = json.loads(penstock("request", echo, "/env", "--data-binary", "@data").stdout)
    assert environ["CONTENT_LENGTH"] == "70000"


def test_values_asks_what_the_application_can_do(penstock, echo):
    ended = penstock("request", echo, "--values")
    assert ended.returncode == 0
    assert sorted(line.split("=")[0] for line in ended.stdout.decode().splitlines()) == [
        "FCGI_MAX_CONNS",
        "FCGI_MAX_REQS",
        "FCGI_MPXS_CONNS",
    ]


def test_an_error_status_is_an_answer_too(penstock, echo):
    ended = penstock("request", echo, "/", "-i", "-p", "CONTENT_LENGTH=abc")
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"Status: 400 ")


def test_a_role_that_is_refused_is_5_and_said(penstock, echo):
    ended = penstock("request", echo, "/", "--role", "filter", "--filter-data", "@echo.py")
    assert ended.returncode == 5
    assert ended.stderr == b"penstock request: the application refused the request: UNKNOWN_ROLE\n"


def test_a_filter_gets_its_file(penstock, blog):
    def answer(peer: socket.socket) -> None:
        reader, data, ended = records.RecordReader(), b"", False
        while not ended:
            for kind, _, content in reader.feed(peer.recv(65536)):
                data += content if kind == RecordType.DATA else b""
                ended = ended or (kind == RecordType.DATA and not content)
        peer.sendall(records.record(RecordType.STDOUT, 1, b"Status: 200 OK\n\n" + data) + records.end_request(1))

    with target(blog / "filter", answer) as address:
        ended = penstock("request", address, "/", "--role", "filter", "--filter-data", "@blog.py")
    assert ended.stdout == (blog / "blog.py").read_bytes()


def test_the_stream_for_errors_goes_to_standard_error(penstock, blog):
    def answer(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(
            records.record(RecordType.STDERR, 1, b"oh\n")
            + records.record(RecordType.STDOUT, 1, b"Status: 200 OK\n\nbody")
            + records.record(RecordType.STDERR, 1, b"dear\n")
            + records.end_request(1)
        )

    with target(blog / "stderr", answer) as address:
        ended = penstock("request", address, "/")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"body", b"oh\ndear\n")


def test_the_body_is_written_as_it_comes(processes, blog):
    more = threading.Event()

    def answer(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(records.record(RecordType.STDOUT, 1, b"Status: 200 OK\n\nfirst\n"))
        more.wait(PATIENCE)
        peer.sendall(records.record(RecordType.STDOUT, 1, b"second\n") + records.end_request(1))

    with target(blog / "slow", answer) as address:
        process = processes.penstock("request", address, "/")
        try:
            process.wait_for("first")
            assert "second" not in process.stdout
        finally:
            more.set()
        assert process.wait() == 0
    assert process.stdout == ["first", "second"]


def test_a_target_that_does_not_answer_is_5_and_one_sentence(penstock, blog, free_port):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(f"{blog}/dead")
    dead.close()
    waiting = threading.Event()
    cut = b"\x01\x06\0\x01\0\x20\0\0Status: 200 OK"
    with (
        target(blog / "closes", read_request) as closes,
        target(blog / "cuts", says(cut)) as cuts,
        target(blog / "http", says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as http,
        target(blog / "mute", lambda peer: bool(waiting.wait(PATIENCE))) as mute,
    ):
        cases = [
            (f"unix:{blog}/nothing", "there is no socket at"),
            (f"unix:{blog}/dead", "nobody listens at"),
            (f"127.0.0.1:{free_port}", "nobody listens at"),
            (closes, "closed the connection before it had answered"),
            (cuts, "closed the connection before it had answered"),
            (http, "does not speak FastCGI"),
            (mute, "did not move for 0.2 s"),
        ]
        try:
            for address, sentence in cases:
                patience = "200ms" if address == mute else f"{PATIENCE:g}s"
                ended = penstock("request", address, "/", "--timeout", patience)
                assert ended.returncode == 5, address
                assert re.fullmatch(rf"penstock request: .*{sentence}.*\n", ended.stderr.decode()), ended.stderr
                assert ended.stdout == b""
        finally:
            waiting.set()


def test_an_answer_that_breaks_off_is_5_after_what_came_of_it(penstock, blog):
    def answer(peer: socket.socket) -> None:
        read_request(peer)
        peer.sendall(records.record(RecordType.STDOUT, 1, b"Status: 200 OK\n\nhalf"))

    with target(blog / "breaks", answer) as address:
        ended = penstock("request", address, "/")
    assert (ended.returncode, ended.stdout) == (5, b"half")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere", "/"], "'nowhere' is no address"),
        (["unix:/tmp/x"], "the URL is missing"),
        (["unix:/tmp/x", "/", "--role", "proxy"], "--role: 'proxy' is no role"),
        (["unix:/tmp/x", "/", "-H", "nocolon"], "--header: 'nocolon' has no colon"),
        (["unix:/tmp/x", "/", "-p", "=1"], "--param: '=1' has no name"),
        (["unix:/tmp/x", "/", "--timeout", "0"], "--timeout: '0' is too short"),
        (["unix:/tmp/x", "/", "-X", "GE T"], "'GE T' is no HTTP method"),
        (["unix:/tmp/x", "/", "-d", "@missing"], "missing cannot be read: No such file"),
        (["unix:/tmp/x", "/", "--filter-data", "x"], "the role RESPONDER has no DATA"),
    ],
)
def test_a_request_that_is_written_wrong_is_2_and_a_sentence(penstock, arguments, sentence):
    ended = penstock("request", *arguments)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(f"penstock request: {sentence}")
    assert b"Traceback" not in ended.stderr


def test_a_reader_that_has_enough_is_no_error(processes, blog):
    """As in `penstock request ... | head -1`."""

    def answer(peer: socket.socket) -> None:
        read_request(peer)
        try:
            peer.sendall(records.stream(RecordType.STDOUT, 1, b"Status: 200 OK\n\nline\n" + bytes(1 << 20)))
        except OSError:
            pass

    command = '"$@" | head -c 5'
    with target(blog / "much", answer) as address:
        process = processes.start("sh", "-c", command, "sh", *PENSTOCK, "request", address, "/")
        assert process.wait() == 0
    assert process.stdout == ["line"]
    assert process.stderr == []
