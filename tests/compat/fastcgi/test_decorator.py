"""This file tests functions under fastai's decorator: bound sockets, sockets that are handed over, plain CGI."""

from __future__ import annotations

import signal
import sys

import pytest

from penstock.client import Client
from penstock.compat import fastcgi
from penstock.testing import build
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ
from tests.server.peers import request

HEAD = """
import logging
logging.basicConfig(level="INFO")
from fastcgi import *
from pathlib import Path
"""
BODY = """
def hello():
    query = os.environ["QUERY_STRING"]
    content = sys.stdin.read()
    sys.stdout.write(f"Content-type: text/html\\r\\n\\r\\n<html>{content} ; {query}</html>")
"""


@pytest.mark.parametrize(
    ("decoration", "where"),
    [
        ("@fastcgi", "fcgi.sock"),
        ("@fastcgi()", "fcgi.sock"),
        ("@fastcgi('own.sock')", "own.sock"),
        ("@fastcgi(Path('own.sock'))", "own.sock"),
        ("@fastcgi(sock='own.sock')", "own.sock"),
    ],
)
def test_each_form_of_the_decorator_makes_a_unix_socket(programs, processes, sock_dir, decoration, where):
    script = programs.script(f"{HEAD}{decoration}{BODY}print('went on', flush=True)\n")
    program = processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ())
    program.wait_for("listening on")
    with Client(f"unix:{sock_dir / where}") as client:
        answer = client.request("POST", "/?q=1", body="é".encode())
        assert answer.body == "<html>é ; q=1</html>".encode()
        assert answer.get("Content-type") == "text/html"
    assert program.stop(signal.SIGINT) == 0
    program.wait_for("went on")
    assert not (sock_dir / where).exists()


def test_host_and_port_are_a_tcp_socket(programs, processes, sock_dir, free_port):
    script = programs.script(f"{HEAD}@fastcgi(('127.0.0.1', {free_port})){BODY}")
    program = processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ())
    program.wait_for("listening on")
    with Client(f"127.0.0.1:{free_port}") as client:
        assert client.request("GET", "/?q=1").body == b"<html> ; q=1</html>"


def test_a_socket_that_was_handed_over_is_served_in_place_of_its_own(programs, tcp):
    program = programs.serve(f"{HEAD}@fastcgi{BODY}", tcp)
    with Client(program.address) as client:
        assert client.request("GET", "/?a").body == b"<html> ; a</html>"
        assert client.values()["FCGI_MAX_REQS"] == "1"
    assert not (programs.folder / "fcgi.sock").exists()


def test_the_body_needs_no_http_content_length_and_the_answer_ends_by_the_specification(programs, tcp):
    program = programs.serve(f"{HEAD}@fastcgi{BODY}", tcp)
    with program.connect() as peer:
        answer = peer.send(request("/", b"body", request_id=7)).answer(7)
        assert answer.body == b"<html>body ; </html>"
        assert (answer.ended, answer.app_status, answer.protocol_status) == (True, 0, 0)
        # On the same connection, and with a body whose length nobody has said.
        assert peer.ask("/", b"again", length=None).body == b"<html>again ; </html>"
        sent = request(f"/?{'q' * 5000}")
        assert b"q" * 5000 in peer.send(build.recut(sent, (1, 700))).answer().body


def test_parameters_that_are_no_utf_8_survive(programs, tcp):
    program = programs.serve(f"{HEAD}@fastcgi{BODY}", tcp)
    with program.connect() as peer:
        sent = request("/", extra={"QUERY_STRING": "\xff\xc3\xa9"})
        assert peer.send(sent).answer().body == b"<html> ; \xff\xc3\xa9</html>"


def test_streams_and_environment_are_the_request_s_while_it_runs(programs, tcp):
    text = """
real = sys.stdin, sys.stdout, os.environ
seen = []
@fastcgi
def page():
    print("Content-Type: text/plain\\n")
    print(os.environ["PATH"], os.getenv("REQUEST_METHOD"), sys.stdin is real[0], seen)
    seen.append(1)
    raise SystemExit
assert (sys.stdin, sys.stdout, os.environ) == real
assert "REQUEST_METHOD" not in os.environ
"""
    program = programs.serve(HEAD + text, tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"/usr/bin:/bin GET False []\n"
        assert peer.ask("/").body == b"/usr/bin:/bin GET False [1]\n"
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0


def test_a_function_that_fails_is_a_500_and_the_next_request_is_answered(programs, tcp):
    text = """
@fastcgi
def page():
    print("Content-Type: text/plain\\n")
    print(1 / len(os.environ["QUERY_STRING"]))
"""
    program = programs.serve(HEAD + text, tcp)
    with Client(program.address) as client:
        assert client.request("GET", "/").status == 500
        assert client.request("GET", "/?q").body == b"1.0\n"
    assert "ZeroDivisionError" in program.errors()


def test_one_request_of_plain_cgi_is_answered(programs):
    env = cgi_environ(method="POST", Content_Length="4", Query_String="q=1")
    done = programs.cgi(f"{HEAD}@fastcgi{BODY}", env, b"sent")
    head, page = split(done.stdout)
    assert page == b"<html>sent ; q=1</html>"
    assert head["Status"] == "200 OK"
    assert done.returncode == 0


def test_in_a_module_that_is_imported_it_makes_a_socketserver(programs, processes, sock_dir):
    (programs.folder / "pages.py").write_text(f"from fastcgi import *\n@fastcgi('made.sock'){BODY}")
    text = """
import pages, os
assert callable(pages.hello.gateway)
with pages.hello() as server:
    print("ready", flush=True)
    server.serve_forever()
"""
    script = programs.script(text)
    program = processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ())
    program.wait_for("ready")
    for _ in range(2):
        with Client(f"unix:{sock_dir}/made.sock") as client:
            assert client.request("POST", "/?q", body=b"b").body == b"<html>b ; q</html>"


def test_what_is_no_address_gets_a_sentence(programs):
    done = programs.cgi(f"{HEAD}@fastcgi(5){BODY}", {}, None)
    assert done.returncode == 1
    assert b"it is a path for a unix socket, or (host, port)" in done.stderr


def test_names_of_python_fastcgi_get_a_sentence():
    with pytest.raises(ImportError, match="ThreadedWSGIServer is of python-fastcgi"):
        _ = fastcgi.ThreadedWSGIServer
    with pytest.raises(AttributeError):
        _ = fastcgi.nothing_of_this_name


def test_the_module_that_programs_import_is_penstock_s_own(programs):
    text = "import fastcgi, penstock.compat.fastcgi as ours\nassert fastcgi is ours\nfrom fastcgi import FcgiHandler\n"
    assert programs.cgi(text).returncode == 0
