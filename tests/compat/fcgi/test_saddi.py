"""This file tests programs of Saddi's fcgi.py over real sockets, as plain CGI and in a shell."""

from __future__ import annotations

import signal
import sys

import pytest

from penstock.client import Client, ConnectionLost
from penstock.compat import fcgi
from penstock.testing import build
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ
from tests.server.peers import request

APP = """
from fcgi import WSGIServer

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["%s %s %s|" % (environ["wsgi.multiprocess"], environ["PATH_INFO"], environ["QUERY_STRING"]), body]
"""
RUN = f"{APP}\nWSGIServer(app).run()\n"
HANDLER = """
import fcgi

def handler(req):
    req.stdout.write("Content-Type: text/plain\\r\\n\\r\\n%s " % req.params["REQUEST_METHOD"])
    req.stdout.write(req.stdin.read())
    return fcgi.FCGI_REQUEST_COMPLETE, 0

fcgi.Server(handler, 4096).run(timeout=0.5)
"""
FAILS = """
import fcgi
def app(environ, start_response):
    raise LookupError("on purpose")
"""


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_the_article_s_import_serves(programs, family, request):
    program = programs.serve(RUN, request.getfixturevalue(family), {"FCGI_WEB_SERVER_ADDRS": "127.0.0.1"})
    with Client(program.address) as client:
        assert client.request("GET", "/a%20b?c=d").body == b"True /a b c=d|"
        assert client.request("POST", "/", body=b"\xff\n").body == b"True / |\xff\n"
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0


def test_a_plain_handler_serves_as_well(programs, tcp):
    program = programs.serve(HANDLER, tcp)
    with program.connect() as peer:
        assert peer.ask("/", b"body").body == b"POST body"


def test_an_address_and_an_environ_are_keywords(programs, processes, sock_dir):
    text = f"""{APP}
def here(environ, start_response):
    start_response(b"200 OK", [(b"Content-Type", b"text/plain")])
    return [environ["site.name"]]
class Server(WSGIServer):
    def _setupSocket(self):
        sock = super()._setupSocket()
        print("ready", flush=True)
        return sock
Server(here, {{"site.name": "ours"}}, False, bindAddress={str(sock_dir / "s")!r}, umask=0o77, maxwrite=100).run()
"""
    program = processes.start(sys.executable, programs.script(text), env=programs.environ())
    program.wait_for("ready")
    with Client(f"unix:{sock_dir}/s") as client:
        assert client.request("GET", "/").body == b"ours"
    assert (sock_dir / "s").stat().st_mode & 0o777 == 0o700
    assert program.stop() == 0
    assert not (sock_dir / "s").exists()


def test_sighup_ends_run_with_true(programs, tcp):
    program = programs.serve(f"{APP}\nraise SystemExit(42 if WSGIServer(app).run() else 0)\n", tcp)
    with program.connect() as peer:
        peer.ask("/")
        program.popen.send_signal(signal.SIGHUP)
        assert peer.closed()
    assert program.wait() == 42


def test_a_failure_is_a_500_without_the_traceback_which_saddi_s_showed_with_200(programs, tcp):
    program = programs.serve(f"{FAILS}\nfcgi.WSGIServer(app).run()\n", tcp)
    with Client(program.address) as client:
        answer = client.request("GET", "/")
    assert answer.status == 500
    assert b"on purpose" not in answer.body
    assert "LookupError: on purpose" in program.errors()


@pytest.mark.parametrize(
    "replace",
    [
        "fcgi.Server.error = error\nfcgi.WSGIServer(app).run()",
        "class Mine(fcgi.WSGIServer):\n    error = error\nMine(app).run()",
        "server = fcgi.WSGIServer(app)\nserver.error = lambda req: error(server, req)\nserver.run()",
    ],
)
def test_error_may_be_replaced(programs, tcp, replace):
    text = f"""{FAILS}
def error(self, req):
    req.stdout.write("Status: 503 Later\\r\\nContent-Type: text/plain\\r\\n\\r\\nlater")
{replace}
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        answer = client.request("GET", "/")
    assert (answer.status, answer.body) == (503, b"later")


def test_a_failure_in_the_middle_breaks_the_answer_off(programs, tcp):
    text = """
import fcgi
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    raise LookupError("on purpose")
fcgi.WSGIServer(app).run()
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client, pytest.raises(ConnectionLost):
        client.request("GET", "/")


def test_parameters_cut_anywhere_and_get_values_are_understood(programs, tcp):
    program = programs.serve(RUN, tcp)
    with Client(program.address) as client:
        assert set(client.values()) == {"FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"}
    with program.connect() as peer:
        sent = request(f"/?{'q' * 5000}")
        assert peer.send(build.recut(sent, (1, 700))).answer().body == b"True / " + b"q" * 5000 + b"|"


def test_an_idle_connection_does_not_delay_the_end(programs, tcp):
    program = programs.serve(RUN, tcp)
    with program.connect() as peer:
        peer.ask("/")
        program.popen.send_signal(signal.SIGTERM)
        assert program.wait() == 0


@pytest.mark.parametrize("body", [b"sent", None], ids=["pipe", "/dev/null"])
def test_plain_cgi_is_answered(programs, body):
    env = cgi_environ("/here", method="POST", Content_Length=str(len(body or b"")))
    done = programs.cgi(RUN, env, body)
    head, page = split(done.stdout)
    assert page == b"True /here |" + (body or b"")
    assert head["Status"] == "200 OK"
    assert (done.returncode, done.stderr) == (0, b"")


def test_typed_in_a_shell_it_shows_get_and_the_next_step(programs):
    done = programs.cgi(RUN, {}, None)
    assert done.returncode == 0
    assert b"200 OK" in done.stdout
    assert b"penstock serve" in done.stdout


def test_a_keyword_of_flup_s_gets_a_sentence():
    with pytest.raises(TypeError, match="no maxSpare; flup.server.fcgi.WSGIServer may take it"):
        fcgi.WSGIServer(lambda environ, start_response: [], maxSpare=5)


def test_the_handler_keyword_is_dropped_as_saddi_s_does():
    server = fcgi.WSGIServer(lambda environ, start_response: [], handler=None, maxwrite=100)
    assert server.maxwrite == 100
    assert server.multiprocess is True


def test_a_server_without_a_handler_says_so_in_the_log(programs, tcp):
    program = programs.serve("import fcgi\nfcgi.Server().run()\n", tcp)
    with program.connect() as peer:
        assert peer.ask("/").status == 500
    assert "this Server has no handler" in program.errors()
