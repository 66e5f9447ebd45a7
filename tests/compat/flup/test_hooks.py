"""This file tests the hooks of flup's FastCGI servers, error() and handler(), which programs override."""

from __future__ import annotations

import io
import sys

import pytest

from penstock.compat.flup.handling import HookedGateway
from penstock.compat.flup.server import fcgi, fcgi_base
from penstock.compat.flup.server.fcgi_base import FCGI_FILTER, FCGI_OVERLOADED, FCGI_UNKNOWN_ROLE
from penstock.gateways.request import Disconnected
from penstock.gateways.webserver import cgi_params
from penstock.protocol.spec import Role
from penstock.testing import Aborted, run_gateway
from tests.compat.flup.live import PLAIN, answer, entries, hello, live, show


def serve(application, **options) -> fcgi.WSGIServer:
    return fcgi.WSGIServer(application, **options)


# -- failures


def broken(environ, start_response):
    raise LookupError("on <purpose>")


def broken_late(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Before", "1")])
    yield b""
    raise LookupError("on <purpose>")


def broken_in_the_middle(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"half"
    raise LookupError("on <purpose>")


@pytest.mark.parametrize("application", [broken, broken_late])
def test_a_failure_is_a_500_that_tells_nothing(application, caplog):
    response = answer(serve(application))
    assert response.status == 500
    assert b"purpose" not in response.body
    assert "LookupError: on <purpose>" in caplog.text


@pytest.mark.parametrize("application", [broken, broken_late])
def test_with_debug_the_page_has_the_traceback_escaped_and_no_values_of_variables(application, caplog):
    response = answer(serve(application, debug=True))
    assert response.status == 500
    assert b"LookupError: on &lt;purpose&gt;" in response.body
    assert b"test_hooks.py" in response.body
    assert response.get("X-Before") is None
    assert "LookupError: on <purpose>" in caplog.text


@pytest.mark.parametrize("debug", [False, True])
def test_a_failure_in_the_middle_of_a_response_breaks_it_off(debug, caplog):
    with pytest.raises(Aborted) as caught:
        answer(serve(broken_in_the_middle, debug=debug))
    assert caught.value.output.endswith(b"half")
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("application", [broken, broken_late])
def test_an_overridden_error_answers_in_its_own_way(application, caplog):
    class Server(fcgi.WSGIServer):
        def error(self, req):
            assert isinstance(sys.exc_info()[1], LookupError)
            req.stdout.write("Status: 503 Moin\r\nContent-Type: text/html\r\n\r\n")
            req.stdout.write("<h1>sorry</h1>")

    response = answer(Server(application))
    assert (response.status, response.reason, response.body) == (503, "Moin", b"<h1>sorry</h1>")
    assert "LookupError" in caplog.text


def test_an_error_put_on_the_server_itself_counts_too():
    server = serve(broken)
    server.error = lambda req: req.stdout.write(b"Content-Type: text/plain\n\nhere")  # type: ignore[method-assign]
    response = answer(server)
    assert (response.status, response.body) == (200, b"here")


def test_an_overridden_error_may_fall_back_on_flups_own(caplog):
    class Server(fcgi.WSGIServer):
        def error(self, req):
            fcgi.WSGIServer.error(self, req)

    assert answer(Server(broken)).status == 500


def test_an_error_that_fails_itself_is_a_500(caplog):
    class Server(fcgi.WSGIServer):
        def error(self, req):
            raise RuntimeError("error in error")

    assert answer(Server(broken)).status == 500
    assert "error in error" in caplog.text


def test_an_application_that_never_starts_its_response_is_a_500(caplog):
    assert answer(serve(lambda environ, start_response: [])).status == 500


def test_a_client_that_has_left_is_no_failure_of_the_application():
    called = []

    class Server(fcgi.WSGIServer):
        def error(self, req):
            called.append(req)

    def application(environ, start_response):
        raise Disconnected("gone")

    with pytest.raises(Disconnected):
        answer(Server(application))
    assert called == []


# -- handler()


class Handling(fcgi.WSGIServer):
    """A server with its own handler, as non-WSGI programs have."""

    def __init__(self, act) -> None:
        fcgi.WSGIServer.__init__(self, hello, roles=(1, 2, 3))
        self.act = act

    def handler(self, req):
        return self.act(req) or (0, 0)


def test_a_handler_writes_a_cgi_response_by_hand():
    def act(req):
        req.stdout.write(b"Content-Type: text/plain\r\nStatus: 201 Made\r\n")
        req.stdout.write("\r\nfor " + req.params["REQUEST_METHOD"] + " ")
        req.stdout.writelines([req.stdin.read(), b"!"])
        req.stdout.flush()

    response = answer(Handling(act), "POST", "/", b"body")
    assert (response.status, response.reason, response.body) == (201, "Made", b"for POST body!")


def test_what_a_handler_writes_is_checked_like_any_response():
    def act(req):
        req.stdout.write(b"Status: 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\nbody")

    response = answer(Handling(act), "HEAD")
    assert (response.status, response.body, response.get("Connection")) == (200, b"", None)


@pytest.mark.parametrize("output", ["", "no head at all", "Content-Type: text/plain\r\n"])
def test_a_handler_without_a_whole_head_is_a_500(output, caplog):
    assert answer(Handling(lambda req: req.stdout.write(output) and None)).status == 500


def test_a_handler_that_fails_before_its_body_is_a_500(caplog):
    def act(req):
        req.stdout.write(b"Content-Type: text/plain\r\n\r\n")
        raise LookupError

    assert answer(Handling(act)).status == 500


def test_a_handler_that_fails_in_its_body_is_broken_off(caplog):
    def act(req):
        req.stdout.write(b"Content-Type: text/plain\r\n\r\nhalf")
        raise LookupError

    with pytest.raises(Aborted):
        answer(Handling(act))


def test_a_request_has_flups_attributes():
    seen: dict = {}

    def act(req):
        seen.update(
            server=req.server, role=req.role, requestId=req.requestId, flags=req.flags, aborted=req.aborted,
            data=req.data.read(), params=type(req.params), kind=type(req),
        )  # fmt: skip
        req.stderr.write("")
        req.run_application()

    server = Handling(act)
    assert answer(server, role=Role.FILTER).status == 200
    assert seen == {
        "server": server, "role": FCGI_FILTER, "requestId": 1, "flags": 0, "aborted": False,
        "data": b"the data", "params": dict, "kind": fcgi_base.Request,
    }  # fmt: skip


def test_the_parameters_that_a_handler_sees_are_native_strings_alone():
    def act(req):
        assert all(type(value) is str for value in req.params.values()), req.params
        req.run_application()

    assert answer(Handling(act)).status == 200


def test_a_handler_may_change_the_parameters_and_leave_the_rest_to_flups():
    class Server(fcgi.WSGIServer):
        def handler(self, req):
            req.params["X"] = "y"
            del req.params["QUERY_STRING"]
            return fcgi.WSGIServer.handler(self, req)

    found = entries(answer(Server(show), X="z"))
    assert found["X"] == "y"
    assert "QUERY_STRING" not in found


@pytest.mark.parametrize(("status", "code"), [(FCGI_OVERLOADED, 503), (FCGI_UNKNOWN_ROLE, 500)])
def test_a_handlers_refusal_becomes_an_answer(status, code, caplog):
    response = answer(Handling(lambda req: (status, 0)))
    assert response.status == code
    assert response.get("Retry-After") == ("1" if code == 503 else None)


def test_an_application_status_is_passed_on(sock_dir):
    def act(req):
        req.run_application()
        return 0, 7

    server = Handling(act)
    server._bindAddress = str(sock_dir / "app")
    with live(server) as running, running.connect() as peer:
        assert peer.ask().app_status == 7


def test_programs_may_put_their_own_request_class():
    class Request(fcgi_base.Request):
        def run(self):
            self.params["FROM"] = "mine"
            fcgi_base.Request.run(self)

    class Server(fcgi.WSGIServer):
        request_class = Request

    assert entries(answer(Server(show)))["FROM"] == "mine"


def test_one_shot_requests_are_of_the_cgi_class():
    seen = []

    class Server(fcgi.WSGIServer):
        def handler(self, req):
            seen.append(type(req))
            return fcgi.WSGIServer.handler(self, req)

    gateway = HookedGateway(Server(hello), multithread=False, multiprocess=True, run_once=True)
    assert run_gateway(gateway, cgi_params("GET", "/")).status == 200
    assert seen == [fcgi_base.CGIRequest]


# -- the small files


def test_a_closed_stdout_takes_no_more():
    out = fcgi_base.OutputStream(lambda status, headers: lambda body: None)
    out.close()
    assert out.closed
    with pytest.raises(ValueError, match="ended"):
        out.write(b"x")


def test_tee_and_wrapper_do_what_their_names_say():
    one, two = io.StringIO(), io.StringIO()
    tee = fcgi_base.TeeOutputStream((one, two))
    tee.writelines(["a", "b"])
    tee.flush()
    assert one.getvalue() == two.getvalue() == "ab"
    wrapper = fcgi_base.StdoutWrapper(one)
    assert not wrapper.dataWritten
    wrapper.write("")
    assert not wrapper.dataWritten
    wrapper.writelines(["c"])
    assert wrapper.dataWritten
    assert wrapper.getvalue() == "abc"
