"""This file tests jonpy programs over real sockets: the classic scripts, threading levels, and how they end."""

from __future__ import annotations

import gzip
import signal

import pytest

from penstock.client import Client, ConnectionLost
from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from penstock.testing import build
from tests.compat.jon.programs import SCRIPTS
from tests.server.peers import begin, request

HELLO = """
class Handler(cgi.Handler):
    def process(self, req):
        req.write("hello ")
        req.write(req.params.get("q", ""))
"""
MEETING = """
import threading
met = threading.Barrier(2)
class Handler(cgi.Handler):
    def process(self, req):
        met.wait(20)
        req.write("met")
"""


def run(arguments: str = "{1: Handler}") -> str:
    return f"fcgi.Server({arguments}).run()\n"


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_the_hello_script_serves_as_it_is(programs, family, request):
    program = programs.serve(SCRIPTS / "hello.fcgi", request.getfixturevalue(family))
    with Client(program.address) as client:
        answer = client.request("GET", "/?who=Jos%C3%A9")
        assert answer.headers[0] == ("Content-Type", "text/plain")
        assert answer.body == "Good day, José.\n".encode()
        assert client.request("POST", "/", [("Content-Type", "x")], b"who=Ada").body == b"Good day, Ada.\n"
        assert client.request("GET", "/").body == b"Good day, everybody.\n"
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0


def test_its_gzip_variant_serves_as_it_is(programs, tcp):
    program = programs.serve(SCRIPTS / "hello_gzip.fcgi", tcp)
    page = b"".join(b"Line %d\n" % number for number in range(900))
    with Client(program.address) as client:
        answer = client.request("GET", "/?lines=900", [("Accept-Encoding", "gzip")])
        assert gzip.decompress(answer.body) == page
        assert client.request("GET", "/?lines=900").body == page
        assert b"ValueError: on purpose" in client.request("GET", "/?fail=on+purpose").body
    assert "ValueError: on purpose" in program.errors()


@pytest.mark.parametrize(("level", "values"), [(0, "1 1 0"), (1, "10 10 0"), (2, "10 10 1"), (7, "10 10 1")])
def test_each_threading_level_answers_get_values_as_jonpy_did(programs, tcp, level, values):
    program = programs.serve(HELLO + run(f"{{1: Handler}}, threading_level={level}"), tcp)
    with Client(program.address) as client:
        assert " ".join(client.values().values()) == values


def test_params_are_answers_to_get_values_too(programs, tcp):
    program = programs.serve(HELLO + run("{1: Handler}, params={'FCGI_MAX_CONNS': 7, 'X-OWN': 'y'}"), tcp)
    with Client(program.address) as client:
        found = client.values(["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "X-OWN", "X-NONE"])
    assert found == {"FCGI_MAX_CONNS": "7", "FCGI_MAX_REQS": "10", "X-OWN": "y"}


@pytest.mark.parametrize("level", [0, 1])
def test_below_level_2_a_second_request_on_a_connection_is_refused(programs, tcp, level):
    program = programs.serve(HELLO + run(f"{{1: Handler}}, threading_level={level}"), tcp)
    with program.connect() as peer:
        peer.send(begin(request_id=1), request("/", request_id=2))
        assert peer.answer(2).protocol_status == ProtocolStatus.CANT_MPX_CONN
        assert peer.send(build.stdin(request_id=1)).answer(1).body == b"hello "


def test_at_level_2_requests_of_one_connection_run_side_by_side(programs, tcp):
    program = programs.serve(MEETING + run("{1: Handler}, threading_level=2"), tcp)
    with program.connect() as peer:
        peer.send(request("/", request_id=1), request("/", request_id=2))
        assert [peer.answer(number).body for number in (1, 2)] == [b"met", b"met"]


def test_at_level_1_connections_run_side_by_side(programs, tcp):
    program = programs.serve(MEETING + run(), tcp)
    with program.connect() as one, program.connect() as two:
        one.send(request("/"))
        assert two.ask("/").body == b"met"
        assert one.answer().body == b"met"


def test_max_requests_counts_requests_and_no_connections(programs, tcp):
    program = programs.serve(HELLO + run("{1: Handler}, max_requests=3"), tcp)
    with program.connect(), program.connect(), program.connect(), program.connect() as peer:
        assert [peer.ask(f"/?q={number}").body for number in (1, 2, 3)] == [b"hello 1", b"hello 2", b"hello 3"]
        assert peer.closed()
    assert program.wait() == 0


def test_requests_that_run_when_max_requests_is_reached_are_answered(programs, tcp):
    program = programs.serve(MEETING + run("{1: Handler}, max_requests=2") + "raise SystemExit(5)\n", tcp)
    with program.connect() as one, program.connect() as two:
        one.send(request("/"))
        two.send(request("/"))
        assert [peer.answer().body for peer in (one, two)] == [b"met", b"met"]
    assert program.wait() == 5


def test_exit_makes_run_return_and_the_request_that_asked_for_it_is_answered(programs, tcp):
    text = """
class Handler(cgi.Handler):
    def process(self, req):
        server.exit()
        req.write("bye")
server = fcgi.Server({fcgi.FCGI_RESPONDER: Handler}, threading_level=0)
server.run()
raise SystemExit(5)
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"bye"
    assert program.wait() == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_signal_ends_it_although_a_connection_is_kept(programs, tcp, number):
    program = programs.serve(HELLO + run(), tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"hello "
        program.popen.send_signal(number)
        assert peer.closed()
        assert program.wait() == 0


def test_addresses_of_web_servers_may_have_spaces_between_them(programs, tcp):
    program = programs.serve(HELLO + run(), tcp, {"FCGI_WEB_SERVER_ADDRS": "192.0.2.1, 127.0.0.1"})
    with program.connect() as peer:
        assert peer.ask("/").body == b"hello "


def test_an_address_that_is_not_among_them_is_sent_away(programs, tcp):
    program = programs.serve(HELLO + run(), tcp, {"FCGI_WEB_SERVER_ADDRS": "192.0.2.1"})
    with program.connect() as peer:
        assert peer.closed()


def test_addresses_say_nothing_about_unix_sockets(programs, unix):
    program = programs.serve(HELLO + run(), unix, {"FCGI_WEB_SERVER_ADDRS": "192.0.2.1"})
    with program.connect() as peer:
        assert peer.ask("/").body == b"hello "


def test_a_management_record_of_an_unknown_type_is_answered(programs, tcp):
    program = programs.serve(HELLO + run(), tcp)
    with program.connect() as peer:
        kind, number, content = peer.send(build.record(99, 0)).record()
    assert (kind, number, content[0]) == (RecordType.UNKNOWN_TYPE, 0, 99)


def test_a_role_without_a_handler_is_refused_and_the_others_are_served(programs, tcp):
    text = """
class Guard(cgi.Handler):
    def process(self, req):
        if req.environ.get("HTTP_X_USER") != "bob":
            req.set_header("Status", "403 Forbidden")
        req.set_header("Variable-REMOTE_USER", "bob")
class Upper(cgi.Handler):
    def process(self, req):
        req.write(req.fcgi_data.read().upper())
fcgi.Server({fcgi.FCGI_AUTHORIZER: Guard, fcgi.FCGI_FILTER: Upper}).run()
"""
    program = programs.serve(text, tcp)
    with program.connect() as peer:
        assert peer.ask("/").protocol_status == ProtocolStatus.UNKNOWN_ROLE
    with Client(program.address) as client:
        assert client.request("GET", "/", role=Role.AUTHORIZER).status == 403
        allowed = client.request("GET", "/", [("X-User", "bob")], role=Role.AUTHORIZER)
        assert (allowed.status, allowed.get("Variable-REMOTE_USER")) == (200, "bob")
        assert client.request("GET", "/", role=Role.FILTER, data=b"quiet").body == b"QUIET"


def test_a_handler_sees_that_its_request_was_aborted_and_what_it_writes_then_is_dropped(programs, tcp):
    text = """
import threading
class Handler(cgi.Handler):
    def process(self, req):
        req.set_buffering(0)
        req.write("begun")
        for _ in range(2000):
            if req.aborted:
                break
            threading.Event().wait(0.01)
        req.write("more")
        fcgi.log_level = 1
        req.log(1, "aborted is %d" % req.aborted)
"""
    program = programs.serve(text + run("{1: Handler}, threading_level=2"), tcp)
    with program.connect() as peer:
        peer.send(request("/"))
        assert peer.chunk().endswith(b"begun")
        answer = peer.send(build.abort()).answer()
    assert answer.ended
    assert answer.output == b""
    assert "aborted is 1" in program.errors()


def test_an_exception_in_the_middle_of_an_answer_breaks_the_connection(programs, tcp):
    text = """
class Handler(cgi.Handler):
    def process(self, req):
        req.write("x" * 100000)
        req.flush()
        raise LookupError("on purpose")
"""
    program = programs.serve(text + run(), tcp)
    with Client(program.address) as client, pytest.raises(ConnectionLost):
        client.request("GET", "/")
    assert "LookupError: on purpose" in program.errors()


def test_a_large_answer_and_parameters_that_are_cut_anywhere_arrive_whole(programs, tcp):
    text = """
class Handler(cgi.Handler):
    def process(self, req):
        req.write(req.environ["HTTP_X_LONG"] * 40)
"""
    program = programs.serve(text + run(), tcp)
    sent = request("/", extra={"HTTP_X_LONG": "0123456789" * 5000})
    with program.connect() as peer:
        assert peer.send(build.recut(sent, (1, 700))).answer().body == b"0123456789" * 200_000


def test_set_logging_shows_records_and_writes_them_into_the_file(programs, tcp):
    path = programs.folder / "jon.log"
    program = programs.serve(f"{HELLO}fcgi.set_logging(3, {str(path)!r})\n" + run(), tcp)
    with program.connect() as peer:
        assert peer.ask("/").body == b"hello "
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0
    assert "BEGIN_REQUEST" in path.read_text()
    assert "END_REQUEST" in program.errors()


def test_the_modules_that_programs_import_are_penstocks_own(programs):
    text = """
import logging, sys
import penstock.compat.jon as ours
from jon import cgi as again
print((cgi, fcgi, again) == (ours.cgi, ours.fcgi, ours.cgi))
try:
    from jon import wt
except ImportError as error:
    print(error)
logging.basicConfig(stream=sys.stdout, level="INFO")
fcgi.log_level = 1
fcgi.Server({}).log(1, "obeyed")
"""
    done = programs.cgi(text)
    assert done.stdout.decode().splitlines() == [
        "True",
        "penstock has jon.cgi and jon.fcgi of jonpy, and no jon.wt",
        "INFO:penstock:obeyed",
    ]
