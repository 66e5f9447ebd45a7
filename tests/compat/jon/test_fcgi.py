"""This file tests jon.fcgi without a connection: roles, what a Server takes, the log and the record helpers."""

from __future__ import annotations

import logging
import socket

import pytest

from penstock.compat import jon
from penstock.compat.jon import cgi, fcgi
from penstock.gateways.request import Disconnected
from penstock.gateways.request import Request as RawRequest
from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from penstock.testing import run_gateway
from tests.compat.jon.asking import ask, params, run, server

ALLOWED = ("Content-Type", "application/octet-stream")  # every head has a type; this one says nothing


# -- roles


def test_an_authorizer_that_returns_lets_the_request_through_and_passes_variables_on():
    def process(req):
        req.set_header("Variable-REMOTE_USER", req.environ["HTTP_X_USER"])
        req.write("nobody sees this")

    answer = ask(process, headers=[("X-User", "bob")], role=Role.AUTHORIZER)
    assert answer.status == 200
    assert answer.headers == [("Variable-REMOTE_USER", "bob"), ALLOWED]
    assert answer.body == b""


def test_an_authorizer_denies_with_a_page():
    def process(req):
        req.set_header("Status", "403 Forbidden")
        req.write("go away")

    answer = ask(process, role=Role.AUTHORIZER)
    assert (answer.status, answer.body) == (403, b"go away")


def test_a_permission_is_not_compressed():
    answer = ask(
        lambda req: None, headers=[("Accept-Encoding", "gzip")], role=Role.AUTHORIZER, request_type=fcgi.GZipRequest
    )
    assert answer.headers == [ALLOWED]


def test_a_filter_gets_stdin_and_data_by_both_names():
    def process(req):
        req.write(req.stdin.read())
        req.write(req.fcgi_data.read(2))
        req.write(req.fastcgi_data.read())

    more = {"FCGI_DATA_LENGTH": "4"}
    assert ask(process, "POST", body=b"in ", role=Role.FILTER, data=b"data", more=more).body == b"in data"


def test_data_that_is_shorter_than_announced_is_a_400(caplog):
    answer = ask(
        lambda req: req.write(req.fcgi_data.read()), role=Role.FILTER, data=b"da", more={"FCGI_DATA_LENGTH": "4"}
    )
    assert answer.status == 400
    assert "the data has 2 bytes and FCGI_DATA_LENGTH says 4" in caplog.text


def test_in_other_roles_data_is_empty():
    assert ask(lambda req: req.write(len(req.fcgi_data.read()))).body == b"0"


def test_each_role_has_its_own_handler_and_each_request_a_new_one():
    made = []

    def handler(word):
        class Made(cgi.Handler):
            def __init__(self):
                made.append(word)

            def process(self, req):
                req.write(f"{word} {req.environ['FCGI_ROLE']}")

        return Made

    both = fcgi.Server({fcgi.FCGI_RESPONDER: handler("one"), fcgi.FCGI_FILTER: handler("two")})
    for role, body in (
        (Role.RESPONDER, b"one RESPONDER"),
        (Role.FILTER, b"two FILTER"),
        (Role.RESPONDER, b"one RESPONDER"),
    ):
        assert run_gateway(both._answer, params(), role=role).body == body
    assert made == ["one", "two", "one"]


# -- Server and Request


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        ({"handler_types": {4: cgi.Handler}}, ValueError, "4 is no role; use FCGI_RESPONDER"),
        ({"request_type": cgi.CGIRequest}, TypeError, "a subclass of jon.fcgi.Request"),
        ({"request_type": 5}, TypeError, "a subclass of jon.fcgi.Request"),
        ({"threading_level": "1"}, TypeError, "threading_level is 0, 1 or 2, not '1'"),
    ],
)
def test_a_wrong_argument_gets_a_sentence(arguments, kind, sentence):
    with pytest.raises(kind, match=sentence):
        fcgi.Server(**{"handler_types": {fcgi.FCGI_RESPONDER: cgi.Handler}, **arguments})


def test_the_arguments_are_jonpys_in_their_order():
    made = fcgi.Server({1: cgi.Handler}, 5, {"FCGI_MAX_CONNS": 3}, fcgi.GZipRequest, 2)
    assert (made.max_requests, made.params, made.request_type, made.threading_level) == (
        5,
        {"FCGI_MAX_CONNS": 3},
        fcgi.GZipRequest,
        2,
    )


def test_the_request_that_max_requests_counts_to_stops_the_server_and_is_answered():
    stopped: list[bool] = []
    limited = server(lambda req: req.write(len(stopped)), max_requests=2)
    limited._started(lambda: stopped.append(True))
    assert [run_gateway(limited._answer, params()).body for _ in range(3)] == [b"0", b"1", b"1"]


def test_exit_before_run_is_not_forgotten():
    stopped = []
    early = server(lambda req: None)
    early.exit()
    early._started(lambda: stopped.append(True))
    assert stopped == [True]


def test_a_subclass_that_passes_jonpys_five_arguments_on_works():
    class Own(fcgi.Request):
        def __init__(self, handler_type, connection, request_id, flags, threading_level):
            super().__init__(handler_type, connection, request_id, flags, threading_level)
            self.note = f"{request_id} {flags} {threading_level}"

    assert ask(lambda req: req.write(req.note), request_type=Own).body == b"1 1 1"


def test_the_constants_are_the_specifications():
    found = {name: getattr(fcgi, name) for name in dir(fcgi) if name.startswith("FCGI_")}
    expected = {f"FCGI_{kind.name}": kind.value for enum in (RecordType, Role, ProtocolStatus) for kind in enum}
    assert found == {**expected, "FCGI_LISTENSOCK_FILENO": 0, "FCGI_VERSION_1": 1, "FCGI_KEEP_CONN": 1}
    assert {type(value) for value in found.values()} == {int}


class Leaving(RawRequest):
    """A request whose web server has left."""

    def write(self, data):
        raise Disconnected("left")

    def finish(self, data=b""):
        raise AssertionError("it has left")

    def abort(self):
        raise AssertionError("it has left")


def test_writes_are_dropped_once_the_web_server_is_gone_and_the_server_is_told():
    seen = []

    def process(req):
        seen.append(req.aborted)
        req.set_buffering(0)
        req.write("one")
        seen.append(req.aborted)
        req.write("two")

    with pytest.raises(Disconnected, match="left"):
        server(process)._answer(Leaving(Role.RESPONDER, params()))
    assert seen == [0, 2]


# -- the log


@pytest.fixture
def levels():
    yield
    fcgi.log_level, fcgi.log_name = 0, None


@pytest.mark.usefixtures("levels")
def test_log_writes_what_the_level_allows(caplog):
    caplog.set_level(logging.INFO)
    fcgi.set_logging(2)
    quiet = server(lambda req: (req.log(2, "seen", b"\x00"), req.log(3, "not seen")))
    quiet.log(1, "server")
    run_gateway(quiet._answer, params())
    assert [record.getMessage() for record in caplog.records] == ["server", "1: seen b'\\x00'"]


@pytest.mark.usefixtures("levels")
def test_set_logging_keeps_the_name_when_none_is_given():
    fcgi.set_logging(1, "/tmp/named.log")
    fcgi.set_logging(3)
    assert (fcgi.log_level, fcgi.log_name) == (3, "/tmp/named.log")


def test_without_set_logging_nothing_is_written(caplog):
    caplog.set_level(logging.INFO)
    run(lambda req: req.log(1, "not seen"))
    assert not caplog.records


# -- the record helpers


def test_a_record_goes_over_a_socket_and_back():
    made = fcgi.Record()
    made.type, made.request_id, made.content_data = fcgi.FCGI_STDIN, 7, b"content"
    assert len(made.encode()) == 16
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(made.encode() + made.encode()[:5])
        theirs.shutdown(socket.SHUT_WR)
        read = fcgi.Record(ours)
        assert (read.version, read.type, read.request_id, read.content_data) == (1, fcgi.FCGI_STDIN, 7, b"content")
        with pytest.raises(EOFError, match="3 bytes before the end"):
            fcgi.Record(ours)


def test_a_record_of_another_version_is_a_value_error():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\x02" + bytes(7))
        with pytest.raises(ValueError, match="version 2"):
            fcgi.Record(ours)


def test_pairs_encode_and_decode_and_broken_ones_are_a_value_error():
    data = fcgi.NameValueData()
    data.values = [(b"A", b"1"), ("é", "x" * 200)]
    assert fcgi.NameValueData(data.encode()).values == [(b"A", b"1"), ("é".encode(), b"x" * 200)]
    assert data.encode_one("A", "1") == b"\x01\x01A1"
    with pytest.raises(ValueError, match="pair"):
        fcgi.NameValueData(b"\x05\x05x")


# -- what there is not


@pytest.mark.parametrize("name", ["Connection", "InputStream"])
def test_the_insides_of_jonpys_server_say_what_there_is_instead(name):
    with pytest.raises(NotImplementedError, match=rf"jon\.fcgi\.{name} belongs to jonpy's own server"):
        getattr(fcgi, name)(None, {}, None, None, 1)


@pytest.mark.parametrize("name", ["wt", "session", "dbpool", "mime", "wsgi", "modpy", "fakefile"])
def test_a_module_of_jonpy_that_is_not_here_gets_a_sentence(name):
    with pytest.raises(ImportError, match=rf"no jon\.{name}$"):
        getattr(jon, name)


def test_what_jonpy_never_had_is_an_attribute_error():
    assert not hasattr(jon, "nothing")
    assert jon.__version__ == "0.14"


def test_the_encoders_do_what_jonpys_did():
    assert cgi.html_encode('<a href="x">\'&+é') == "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#43;é"
    assert cgi.html_encode(5) == "5"
    assert cgi.url_encode("a b/~!*()'é-_.+%") == "a%20b%2F~!*()%27%C3%A9-_.%2B%25"
    assert cgi.url_encode("\udce9") == "%E9"
    assert cgi.url_encode(5.5) == "5.5"
    assert cgi.url_decode("a+b%2Fc%zz%C3%A9%E9") == "a b/c%zzé\udce9"


def test_the_classes_have_jonpys_parents():
    assert issubclass(cgi.SequencingError, cgi.Error)
    assert issubclass(cgi.CGIRequest, cgi.Request)
    assert issubclass(fcgi.Request, cgi.Request)
    assert fcgi.GZipRequest.__mro__.index(cgi.GZipMixIn) < fcgi.GZipRequest.__mro__.index(fcgi.Request)
    assert cgi.GZipCGIRequest.__mro__.index(cgi.GZipMixIn) < cgi.GZipCGIRequest.__mro__.index(cgi.CGIRequest)
    assert fcgi.Request._fcgi_fallback_type is cgi.CGIRequest
    assert fcgi.GZipRequest._fcgi_fallback_type is cgi.GZipCGIRequest
    assert issubclass(cgi.DebugHandler, cgi.DebugHandlerMixIn)
    assert issubclass(cgi.DebugHandler, cgi.Handler)


def test_a_request_without_a_transport_says_what_it_lacks():
    request = cgi.Request(cgi.Handler)
    with pytest.raises(NotImplementedError, match="Request has no error"):
        request.error("x")
    with pytest.raises(NotImplementedError, match="Request has no _write"):
        request._write(b"x")
