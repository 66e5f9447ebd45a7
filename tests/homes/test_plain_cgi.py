"""This file starts the program as plain CGI, with each kind of standard input that web servers give."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

import pytest

from tests.gateways.responses import parse
from tests.homes.children import NOTHING, Child, Starter, cgi_environ, read_all


def run(start: Starter, env: Mapping[str, str], *arguments: str, body: bytes | None = None) -> tuple[Child, bytes]:
    """Start it with the body in a pipe, /dev/null if there is none; the child, and all that it printed."""
    output, printed = os.pipe()
    fds = {1: printed}
    if body is not None:
        source, given = os.pipe()
        fds[0] = source
    child = start(*arguments, fds=fds, env=env)
    os.close(printed)
    if body is not None:
        os.close(source)
        # In a thread, because what is read is not read before all of it is sent, and a pipe is short.
        writer = Thread(target=write_all, args=(given, body))
        writer.start()
        data = read_all(output)
        writer.join()
    else:
        data = read_all(output)
    return child, data


def write_all(fd: int, body: bytes) -> None:
    with os.fdopen(fd, "wb", 0) as file:
        try:
            while body:
                body = body[file.write(body) :]
        except BrokenPipeError:
            return


def test_get_with_dev_null_as_standard_input(start: Starter):
    child, output = run(start, cgi_environ("/"))
    status, fields, body = parse(output)
    assert (status, body) == ("200 OK", b"Hello\n")
    assert ("X-Where", "/cgi-bin/program.cgi/") in fields
    assert child.wait() == 0
    assert child.read_errors() == ""


def test_the_application_sees_the_request_and_not_the_rest_of_the_environment(start: Starter):
    env = cgi_environ("/facts", http_proxy="evil.example:8080", http_x_a="a", deploy_key="secret")
    _, output = run(start, env)
    facts = json.loads(parse(output)[2])
    assert facts["wsgi"]["HTTP_X_A"] == "a"
    assert facts["wsgi"]["FCGI_ROLE"] == "RESPONDER"
    assert facts["wsgi"]["wsgi.run_once"] is True
    assert facts["wsgi"]["wsgi.multiprocess"] is True
    assert "HTTP_PROXY" not in facts["wsgi"]
    assert "HTTP_PROXY" not in facts["environ"], "nor does a program that it starts"
    assert "PATH" not in facts["wsgi"]
    assert "DEPLOY_KEY" not in facts["wsgi"]


def test_a_body_in_a_pipe_is_read_up_to_its_length_though_the_pipe_stays_open(start: Starter):
    source, given = os.pipe()
    output, printed = os.pipe()
    start(fds={0: source, 1: printed}, env=cgi_environ("/echo", "POST", content_length="3"))
    os.close(source)
    os.close(printed)
    os.write(given, b"abcNOT THE BODY")
    assert parse(read_all(output))[2] == b"abc"
    os.close(given)


@pytest.mark.parametrize("family", ["unix", "tcp"])
def test_the_body_and_the_response_on_one_socket(family, request, start: Starter):
    # as Apache's mod_cgid does it
    listener = request.getfixturevalue(family)
    with socket.socket(listener.family) as ours:
        ours.connect(listener.getsockname())
        theirs = listener.accept()[0]
        with theirs:
            start(fds=dict.fromkeys((0, 1), theirs.fileno()), env=cgi_environ("/echo", "POST", content_length="3"))
        ours.sendall(b"abc")
        with ours.makefile("rb") as file:
            assert parse(file.read())[2] == b"abc"


def test_an_unread_body_on_a_socket_does_not_break_the_response(start: Starter):
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"x" * 100_000)
        ours.shutdown(socket.SHUT_WR)
        with theirs:
            child = start(
                fds=dict.fromkeys((0, 1), theirs.fileno()), env=cgi_environ("/", "POST", content_length="100000")
            )
        with ours.makefile("rb") as file:
            assert parse(file.read())[2] == b"Hello\n"  # and no ConnectionResetError
    assert child.wait() == 0


def test_the_response_ends_before_the_unread_body_does(start: Starter):
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"x" * 1000)
        with theirs:
            env = cgi_environ("/", "POST", content_length="100000")
            child = start(fds=dict.fromkeys((0, 1), theirs.fileno()), env=env)
        with ours.makefile("rb") as file:
            assert parse(file.read())[2] == b"Hello\n"
        ours.sendall(b"x" * 1000)  # and no BrokenPipeError: somebody still takes it
    assert child.wait() == 0


def test_a_socket_that_does_not_block_is_made_to(start: Starter):
    ours, theirs = socket.socketpair()
    with ours:
        theirs.setblocking(False)
        with theirs:
            env = cgi_environ("/late", "POST", content_length="3")
            child = start(fds=dict.fromkeys((0, 1), theirs.fileno()), env=env)
        ours.sendall(b"abc")
        with ours.makefile("rb") as file:
            assert len(parse(file.read())[2]) == 1_000_001
    assert child.wait() == 0


def test_standard_input_that_is_a_file(start: Starter, tmp_path: Path):
    (tmp_path / "body").write_bytes(b"abc and more")
    output, printed = os.pipe()
    with open(tmp_path / "body", "rb") as file:
        start(fds={0: file.fileno(), 1: printed}, env=cgi_environ("/echo", "POST", content_length="3"))
    os.close(printed)
    assert parse(read_all(output))[2] == b"abc"


def test_standard_input_that_is_closed(start: Starter):
    output, printed = os.pipe()
    start(fds={0: NOTHING, 1: printed, 2: NOTHING}, env=cgi_environ("/"))
    os.close(printed)
    assert parse(read_all(output))[2] == b"Hello\n"


def test_a_large_answer_before_the_body_is_read_does_not_lock_up_with_a_server_that_sends_first(start: Starter):
    # Apache's mod_cgi: the whole body is written before anything is read.
    source, given = os.pipe()
    output, printed = os.pipe()
    start(fds={0: source, 1: printed}, env=cgi_environ("/late", "POST", content_length="2000000"))
    os.close(source)
    os.close(printed)
    write_all(given, b"y" * 2_000_000)
    body = parse(read_all(output))[2]
    assert len(body) == 1_000_007
    assert body.endswith(b"x2000000")


def test_what_is_printed_is_not_the_response_and_what_children_read_is_not_the_body(start: Starter):
    child, output = run(start, cgi_environ("/print", "POST", content_length="3"), body=b"abc")
    assert parse(output)[2] == b"said"
    assert child.wait() == 0
    printed = child.read_errors().splitlines()
    assert sorted(printed) == ["a child printed", "printed", "printed to stderr", "written to wsgi.errors"]


def test_a_chunked_body_ends_with_the_input_and_gets_its_length(start: Starter):
    env = cgi_environ("/echo", "POST", http_transfer_encoding="chunked")
    _, output = run(start, env, body=b"z" * 300_000)
    assert parse(output)[2] == b"z" * 300_000


def test_a_body_that_ends_too_early_is_a_400(start: Starter):
    child, output = run(start, cgi_environ("/echo", "POST", content_length="10"), body=b"abc")
    assert parse(output)[0] == "400 Bad Request"
    assert child.wait() == 0
    assert "the body has 3 bytes, its CONTENT_LENGTH says 10" in child.read_errors()


def test_a_body_over_the_limit_is_a_413(start: Starter):
    _, output = run(start, cgi_environ("/echo", "POST", content_length="10000001"), body=b"abc")
    assert parse(output)[0].startswith("413 ")


def test_a_request_without_a_method_is_a_500_and_the_log_says_why(start: Starter):
    env = cgi_environ("/")
    del env["REQUEST_METHOD"]
    child, output = run(start, env)
    assert parse(output)[0] == "500 Internal Server Error"
    assert "no REQUEST_METHOD is sent" in child.read_errors()


def test_a_failure_is_a_500_and_its_traceback_goes_to_standard_error_alone(start: Starter):
    child, output = run(start, cgi_environ("/fail"))
    status, _, body = parse(output)
    assert status == "500 Internal Server Error"
    assert b"failed on purpose" not in body
    assert "LookupError: failed on purpose" in child.read_errors()
    assert child.wait() == 0


def test_a_web_server_that_has_left_is_met_in_silence(start: Starter):
    source, given = os.pipe()
    output, printed = os.pipe()
    child = start(fds={0: source, 1: printed}, env=cgi_environ("/echo", "POST", content_length="3"))
    os.close(source)
    os.close(printed)
    os.close(output)  # before the child can answer, for it waits for the body
    os.write(given, b"abc")
    os.close(given)
    assert child.wait() == 1
    assert child.read_errors() == ""


def test_an_async_application_answers_too_with_its_lifespan(start: Starter):
    child, output = run(start, cgi_environ("/x", "POST", content_length="3"), "--asgi", body=b"abc")
    assert parse(output)[2] == b"started /cgi-bin/program.cgi/x abc"
    assert child.wait() == 0
    assert child.read_errors() == ""
