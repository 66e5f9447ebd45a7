"""This file tests loops on Dunn's isFCGI() and Accept() over real sockets, as plain CGI and in a shell."""

from __future__ import annotations

import importlib.util
import signal
import sys

import pytest

from penstock.client import Client
from penstock.protocol.spec import Role
from penstock.testing import build
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ
from tests.server.peers import request

LOOP = """
import fcgi, sys
count = 0
while fcgi.isFCGI():
    req = fcgi.Accept()
    count = count + 1
    req.out.write("Content-Type: text/plain\\n\\n")
    req.out.write("%s %s " % (req.env["REQUEST_METHOD"], req.env["QUERY_STRING"]))
    req.out.write(req.inp.read())
    print(" count", count)
    req.err.write("noted\\n")
    req.Finish()
print("left the loop", file=sys.stderr)
"""
FORM = """
import warnings
warnings.simplefilter("ignore")
import fcgi
while fcgi.isFCGI():
    req = fcgi.FCGI()
    form = req.getFieldStorage()
    print("Content-Type: text/plain\\n")
    print(sorted((name, form.getvalue(name)) for name in form))
    req.Finish()
"""
HAS_CGI = importlib.util.find_spec("cgi") is not None


def test_the_loop_serves_one_request_after_another(programs, tcp):
    program = programs.serve(LOOP, tcp)
    with Client(program.address) as client:
        assert client.request("GET", "/?q=1").body == b"GET q=1  count 1\n"
        answer = client.request("POST", "/", [("Content-Type", "x")], b"\xc3\xa9\xff\r\n")
        assert answer.body == b"POST  \xc3\xa9\xff\r\n count 2\n"
        assert (answer.status, answer.stderr) == (200, b"")
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert program.errors().count("noted") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_signal_ends_the_program_although_a_connection_is_kept(programs, tcp, number):
    program = programs.serve(LOOP, tcp)
    with program.connect() as peer:
        assert peer.ask("/").status == 200
        program.popen.send_signal(number)
        assert peer.closed()
        assert program.wait() == 0


def test_a_request_that_runs_when_the_signal_comes_is_answered(programs, tcp):
    text = """
import fcgi, os, signal
while fcgi.isFCGI():
    req = fcgi.Accept()
    os.kill(os.getpid(), signal.SIGTERM)
    req.out.write("Content-Type: text/plain\\n\\nwhole")
    req.Finish()
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"whole"
        assert program.wait() == 0


def test_several_requests_on_one_connection_each_get_their_answer(programs, tcp):
    program = programs.serve(LOOP, tcp)
    with program.connect() as peer:
        peer.send(request("/?q=1", request_id=1), request("/?q=2", request_id=7))
        assert peer.answer(1).body == b"GET q=1  count 1\n"
        assert peer.answer(7).body == b"GET q=2  count 2\n"
        assert b"count 3" in peer.ask("/").body


def test_parameters_cut_anywhere_are_whole_and_get_values_is_answered(programs, tcp):
    program = programs.serve(LOOP, tcp)
    with Client(program.address) as client:
        assert client.values()["FCGI_MAX_REQS"] == "1"
    with program.connect() as peer:
        sent = request(f"/?{'q' * 5000}")
        assert b"q" * 5000 in peer.send(build.recut(sent, (1, 700))).answer().body


def test_a_request_left_open_is_finished_by_the_next_accept(programs, tcp):
    program = programs.serve(LOOP.replace("    req.Finish()\n", "    if count == 2: break\n"), tcp)
    with program.connect() as peer, program.connect() as other:
        peer.send(request("/"))
        other.send(request("/"))
        assert {peer.answer().body, other.answer().body} == {b"GET   count 1\n", b"GET   count 2\n"}


def test_leaving_the_loop_ends_the_program_and_finish_counts_once(programs, tcp):
    text = """
import fcgi
req = fcgi.Accept()
req.out.write(b"Content-Type: text/plain\\n\\nonce")
req.Finish(3)
req.Finish()
raise SystemExit(5)
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"once"
        assert peer.closed()
    assert program.wait() == 5


def test_a_page_that_ends_with_exit_is_sent_and_one_that_ends_with_a_traceback_is_a_500(programs, tcp):
    text = """
import fcgi
req = fcgi.Accept()
req.out.write("Content-Type: text/plain\\n\\nall there is")
"""
    program = programs.serve(f"{text}raise SystemExit(0)\n", tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"all there is"
    assert program.wait() == 0
    program = programs.serve(f"{text}raise LookupError('on purpose')\n", tcp)
    with program.connect() as peer:
        answer = peer.ask("/")
        assert answer.status == 500
        assert b"all there is" not in answer.body
    assert program.wait() == 1
    assert "LookupError: on purpose" in program.errors()


def test_what_is_no_cgi_response_is_a_500_and_the_loop_goes_on(programs, tcp):
    text = """
import fcgi
for page in ("", "no head at all", "Content-Type: text/plain\\n\\nfine"):
    req = fcgi.Accept()
    req.out.write(page)
    req.Finish()
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        assert [client.request("GET", "/").status for _ in range(3)] == [500, 500, 200]
    assert program.wait() == 0


def test_a_filter_has_its_data(programs, tcp):
    text = """
import fcgi
req = fcgi.Accept()
req.out.write(b"Content-Type: text/plain\\n\\n" + req.data.read().upper() + b" " + req.inp.buffer.read())
req.Finish()
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        answer = client.request("POST", "/", body=b"body", role=Role.FILTER, data=b"data")
    assert answer.body == b"DATA body"


def test_standard_streams_are_the_request_s_until_finish(programs, tcp):
    text = """
import fcgi, sys
before = sys.stdin, sys.stdout
req = fcgi.Accept()
print("Content-Type: text/plain\\n")
print(sys.stdin.readline().strip(), sys.stdin is req.stdin, sys.stdout is req.stdout)
req.Finish()
assert (sys.stdin, sys.stdout) == before
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/", b"a line\nanother").body == b"a line True True\n"
    assert program.wait() == 0


@pytest.mark.skipif(not HAS_CGI, reason="Python has no cgi module from 3.13 on, and legacy-cgi is not installed")
def test_a_form_is_a_field_storage(programs, tcp):
    program = programs.serve(FORM, tcp)
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    with Client(program.address) as client:
        assert client.request("GET", "/?a=1&b=").body == b"[('a', '1'), ('b', '')]\n"
        assert client.request("POST", "/?c=3", form, b"a=%C3%A9").body == "[('a', 'é'), ('c', '3')]\n".encode()


def test_without_a_cgi_module_the_message_names_the_package(programs, tcp):
    program = programs.serve(f"import sys\nsys.modules['cgi'] = None\n{FORM}", tcp)
    with program.connect() as peer:
        assert peer.ask("/?a=1").status == 500
    assert program.wait() == 1
    assert "pip install 'penstock[legacy]'" in program.errors()


@pytest.mark.parametrize("body", [b"sent", None], ids=["pipe", "/dev/null"])
def test_in_plain_cgi_the_loop_runs_once(programs, body):
    env = cgi_environ(method="POST", Content_Length=str(len(body or b"")))
    done = programs.cgi(LOOP, env, body)
    head, page = split(done.stdout)
    assert page == b"POST  " + (body or b"") + b" count 1\n"
    assert head["Status"] == "200 OK"
    assert done.returncode == 0
    assert done.stderr.splitlines() == [b"noted", b"left the loop"]


def test_in_plain_cgi_an_endless_loop_ends_behind_its_answer(programs):
    text = """
import fcgi
while 1:
    req = fcgi.Accept()
    req.out.write("Content-Type: text/plain\\n\\nonce")
    req.Finish()
"""
    done = programs.cgi(text, cgi_environ())
    assert split(done.stdout)[1] == b"once"
    assert (done.returncode, done.stderr) == (0, b"")


def test_typed_in_a_shell_it_shows_get_and_the_next_step(programs):
    done = programs.cgi(LOOP, {}, None)
    assert b"200 OK" in done.stdout
    assert b"count 1" in done.stdout
    assert b"penstock serve program.fcgi" in done.stdout
    assert done.returncode == 0


def test_both_modules_are_one_and_its_identity_holds(programs):
    text = """
import fcgi, penstock.compat.fcgi as ours
assert fcgi is ours
assert fcgi.Accept is fcgi.FCGI
from fcgi import WSGIServer, Server, FCGI_RESPONDER, Record, InputStream
"""
    assert programs.cgi(text).returncode == 0


def test_importing_it_touches_nothing():
    from penstock.compat import fcgi

    before = sys.stdin, sys.stdout
    assert fcgi.isFCGI() is True
    assert (sys.stdin, sys.stdout) == before
