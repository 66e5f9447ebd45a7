"""This file tests programs of flipflop over real sockets, as plain CGI and in a shell."""

from __future__ import annotations

import signal

import pytest

from penstock.client import Client
from penstock.compat import flipflop
from penstock.testing import build
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ
from tests.server.peers import request

APP = """
from flipflop import WSGIServer

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["QUERY_STRING"], b"|", body]
"""
RUN = f"{APP}\nWSGIServer(app).run()\n"


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_it_serves_on_descriptor_0(programs, family, request):
    program = programs.serve(RUN, request.getfixturevalue(family), {"FCGI_WEB_SERVER_ADDRS": "127.0.0.1"})
    with Client(program.address) as client:
        assert client.request("POST", "/?c=d", body=b"\xff\n").body == b"c=d|\xff\n"


def test_an_idle_connection_does_not_delay_the_end_where_flipflop_hangs(programs, tcp):
    program = programs.serve(RUN, tcp)
    with program.connect() as peer:
        peer.ask("/")
        program.popen.send_signal(signal.SIGTERM)
        assert program.wait() == 0


def test_sighup_ends_run_with_true(programs, tcp):
    program = programs.serve(f"{APP}\nraise SystemExit(42 if WSGIServer(app).run() else 0)\n", tcp)
    with program.connect() as peer:
        peer.ask("/")
        program.popen.send_signal(signal.SIGHUP)
        assert program.wait() == 42


def test_get_values_is_answered_where_flipflop_says_nothing(programs, tcp):
    program = programs.serve(RUN, tcp)
    with Client(program.address) as client:
        assert set(client.values()) == {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"}


def test_parameters_that_are_cut_anywhere_are_whole(programs, tcp):
    program = programs.serve(RUN, tcp)
    with program.connect() as peer:
        sent = request(f"/?{'q' * 5000}")
        assert peer.send(build.recut(sent, (1, 700))).answer().body == b"q" * 5000 + b"|"


def test_environ_is_an_attribute_that_may_be_set(programs, tcp):
    text = f"{APP}\nserver = WSGIServer(app)\nserver.environ = {{'QUERY_STRING': 'set'}}\nserver.run()\n"
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/?q").body == b"set|"


def test_handler_may_be_overridden_and_its_request_has_flipflop_s_names(programs, tcp):
    text = f"""{APP}
class Server(WSGIServer):
    def handler(self, req):
        req.stdout.write(b"Content-Type: text/plain\\r\\n\\r\\n%d %d" % (req.request_id, req.role))
        return 0, 0
Server(app).run()
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/", request_id=9).body in (b"9 1", b"1 1")


def test_a_failure_is_a_500_page_that_tells_nothing(programs, tcp):
    program = programs.serve(RUN.replace("body = ", "1/0 + "), tcp)
    with Client(program.address) as client:
        answer = client.request("GET", "/")
    assert answer.status == 500
    assert b"ZeroDivisionError" not in answer.body
    assert "ZeroDivisionError" in program.errors()


@pytest.mark.parametrize("body", [b"sent", None], ids=["pipe", "/dev/null"])
def test_plain_cgi_is_answered_where_flipflop_crashes(programs, body):
    done = programs.cgi(RUN, cgi_environ(method="POST", Content_Length=str(len(body or b""))), body)
    head, page = split(done.stdout)
    assert page == b"|" + (body or b"")
    assert head["Status"] == "200 OK"
    assert (done.returncode, done.stderr) == (0, b"")


def test_typed_in_a_shell_it_shows_get_and_the_next_step(programs):
    done = programs.cgi(RUN, {}, None)
    assert b"200 OK" in done.stdout
    assert b"penstock serve" in done.stdout
    assert done.returncode == 0


def test_it_takes_one_argument_and_has_flipflop_s_attributes():
    server = flipflop.WSGIServer(lambda environ, start_response: [])
    assert server.environ == {}
    assert server.maxwrite == 8192
    assert "FCGI_MAX_CONNS" in server.capability
    assert server._keep_going is False
    server.shutdown()
    unknown = {"bindAddress": "/tmp/x"}
    with pytest.raises(TypeError):
        flipflop.WSGIServer(lambda environ, start_response: [], **unknown)


def test_the_module_that_programs_import_is_penstock_s_own(programs):
    text = "import flipflop, penstock.compat.flipflop as ours\nassert flipflop is ours\nflipflop.FCGI_RESPONDER\n"
    assert programs.cgi(text).returncode == 0
