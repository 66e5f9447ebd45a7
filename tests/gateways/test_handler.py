"""This file tests what a handler's life is: an instance for each request, roles, decisions, and every way to fail."""

from __future__ import annotations

import logging
import sys

import pytest

from penstock.gateways.environ import BadRequest
from penstock.gateways.handler import Handler, HandlerGateway, RoleGateway, gateway_for
from penstock.gateways.request import Disconnected, TruncatedInput
from penstock.gateways.response import BadResponse
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import Role
from penstock.testing import Aborted, MemoryRequest
from tests.gateways.asking import REFERENCE, ask, gateway, handler, params, run

SECRET = "the secret of the traceback"


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class TestLife:
    def test_each_request_gets_an_instance_of_its_own_made_without_arguments(self):
        seen = []

        class Counting(Handler):
            def __init__(self) -> None:
                seen.append(self)

            def process(self, request):
                assert seen[-1] is self

        ask(Counting)
        ask(Counting)
        assert len(set(map(id, seen))) == 2

    def test_a_handler_that_does_nothing_gives_an_empty_page(self):
        response = ask(lambda request: None)
        assert (response.status, response.body) == (200, b"")
        assert response.get("Content-Length") == "0"

    def test_a_handler_without_process_is_a_500(self, caplog):
        assert ask(Handler).status == 500
        assert "Handler has no process(request)" in caplog.text

    @pytest.mark.parametrize("code", [None, 0])
    def test_sys_exit_ends_the_response_as_a_cgi_program_would(self, code):
        def process(request):
            request.write("before")
            sys.exit(code)

        assert ask(process).body == b"before"

    @pytest.mark.parametrize("code", [1, "out of order"])
    def test_sys_exit_with_an_error_is_a_500(self, code):
        assert ask(lambda request: sys.exit(code)).status == 500


class TestFailure:
    def test_before_the_head_it_is_a_500_with_a_reference_and_the_traceback_stays_in_the_log(self, caplog):
        def process(request):
            request.status = 201
            request.set_header("X-Made", "yes")
            request.write("half a page")
            raise ValueError(SECRET)

        response = ask(process, "POST", "/x?y")
        assert response.status == 500
        assert REFERENCE.encode() in response.body
        assert SECRET.encode() not in response.body
        assert b"half a page" not in response.body
        assert response.get("X-Made") is None
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert int(response.get("Content-Length") or 0) == len(response.body)
        (line,) = logged(caplog, logging.ERROR)
        assert line == f"[{REFERENCE}] the handler failed before its response began: 'POST' '/x?y'"
        assert SECRET in caplog.text

    def test_after_the_head_the_response_is_broken_off(self, caplog):
        def process(request):
            request.write("half a page")
            request.flush()
            raise ValueError(SECRET)

        with pytest.raises(Aborted) as broken:
            ask(process)
        assert broken.value.output.endswith(b"half a page")
        assert f"[{REFERENCE}] the handler failed in the middle of its response" in caplog.text

    def test_after_a_complete_response_it_is_only_logged(self, caplog):
        def process(request):
            request.end()
            raise ValueError(SECRET)

        assert ask(process).status == 200
        assert f"[{REFERENCE}] the handler failed after its response was complete" in caplog.text

    def test_for_head_there_is_no_page(self):
        def process(request):
            raise ValueError

        response = ask(process, "HEAD")
        assert (response.status, response.body) == (500, b"")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit])
    def test_no_exception_of_a_handler_reaches_the_server(self, error):
        def process(request):
            raise error

        assert ask(process).status == 500

    @pytest.mark.parametrize("error", [Disconnected, TruncatedInput])
    def test_a_client_that_has_left_is_the_servers_business(self, error):
        def process(request):
            request.write("x")
            raise error("gone")

        request = MemoryRequest(params())
        with pytest.raises(error):
            gateway(handler(process))(request)
        assert request.writes == []
        assert not request.ended

    def test_a_connection_error_of_the_handlers_own_is_a_500(self):
        def process(request):
            raise ConnectionResetError("the database")

        assert ask(process).status == 500

    def test_an_error_that_names_a_status_is_answered_with_it_and_one_line_without_a_traceback(self, caplog):
        class Teapot(BadRequest):
            status = 418

        def process(request):
            raise Teapot("no coffee here")

        assert ask(process).status == 418
        assert [record.getMessage() for record in caplog.records] == [f"answered 418 [{REFERENCE}]: no coffee here"]
        assert caplog.records[0].exc_info is None

    def test_such_an_error_in_the_middle_of_a_response_is_logged_with_its_traceback(self, caplog):
        def process(request):
            request.flush()
            raise BadRequest("too late")

        with pytest.raises(Aborted):
            ask(process)
        (record,) = caplog.records
        assert record.exc_info

    def test_a_header_that_cannot_be_sent_is_a_500(self):
        assert ask(lambda request: request.set_header("X-Bad", "a\r\nSet-Cookie: b=c")).status == 500

    def test_the_reference_and_status_are_the_servers_to_know(self):
        request = MemoryRequest(params())

        def process(_):
            raise ValueError

        gateway(handler(process))(request)
        assert (request.reference, request.status) == (REFERENCE, 500)


class TestFailedHook:
    def test_it_writes_the_page_and_may_change_the_status(self):
        class Own(Handler):
            def process(self, request):
                request.set_header("X-Old", "1")
                raise ValueError(SECRET)

            def failed(self, request, error):
                assert request.status == 500
                request.status = 503
                request.set_header("Content-Type", "text/plain")
                request.write(f"{type(error).__name__} {request.reference}")

        response = ask(Own)
        assert (response.status, response.body) == (503, f"ValueError {REFERENCE}".encode())
        assert response.get("Content-Type") == "text/plain"
        assert response.get("X-Old") is None

    def test_when_it_fails_too_the_plain_page_is_sent_and_both_are_logged(self, caplog):
        class Own(Handler):
            def process(self, request):
                raise ValueError(SECRET)

            def failed(self, request, error):
                request.write("half a page")
                raise LookupError("in the hook")

        response = ask(Own)
        assert response.status == 500
        assert REFERENCE.encode() in response.body
        assert b"half a page" not in response.body
        assert SECRET in caplog.text
        assert "in the hook" in caplog.text

    def test_when_it_fails_in_the_middle_of_its_page_the_response_is_broken_off(self):
        class Own(Handler):
            def process(self, request):
                raise ValueError(SECRET)

            def failed(self, request, error):
                request.flush()
                raise LookupError("in the hook")

        with pytest.raises(Aborted):
            ask(Own)

    def test_it_is_not_asked_when_the_client_has_left(self):
        class Own(Handler):
            def process(self, request):
                raise Disconnected("gone")

            def failed(self, request, error):
                pytest.fail("nobody reads the page")

        with pytest.raises(Disconnected):
            ask(Own)

    def test_a_class_that_cannot_be_made_gets_the_plain_page(self):
        class Broken(Handler):
            def __init__(self) -> None:
                raise ValueError(SECRET)

            def failed(self, request, error):
                pytest.fail("there is no instance")

        response = ask(Broken)
        assert response.status == 500
        assert REFERENCE.encode() in response.body


def authorize(process, method="GET", **more):
    return ask(process, method, "/private", role=Role.AUTHORIZER, more=more)


class TestAuthorizer:
    def test_allow_is_a_200_with_variables_and_nothing_else(self):
        response = authorize(lambda request: request.allow(REMOTE_USER="bob", AUTH_METHOD="card"))
        assert response.status == 200
        assert [field for field in response.headers if field[0] != "Content-Type"] == [
            ("Variable-REMOTE_USER", "bob"),
            ("Variable-AUTH_METHOD", "card"),
        ]
        assert response.body == b""

    def test_allow_sends_no_length_and_no_type_of_html(self):
        """mod_fcgid lays these headers over those of what the client gets in the end."""

        def process(request):
            request.write("for nobody")
            request.allow()

        response = authorize(process)
        assert response.get("Content-Length") is None
        assert response.get("Content-Type") == "application/octet-stream"
        assert response.body == b""

    def test_headers_go_with_a_permission(self):
        def process(request):
            request.set_cookie("session", "1")
            request.allow()

        assert str(authorize(process).get("Set-Cookie")).startswith("session=1;")

    def test_deny_is_a_403_with_a_page(self):
        response = authorize(lambda request: request.deny())
        assert response.status == 403
        assert b"403 Forbidden" in response.body

    def test_deny_with_a_status_a_page_and_headers(self):
        def process(request):
            request.deny(401, "<p>Who are you? ż", {"WWW-Authenticate": 'Basic realm="x"'})

        response = authorize(process)
        assert (response.status, response.body) == (401, "<p>Who are you? ż".encode())
        assert response.get("WWW-Authenticate") == 'Basic realm="x"'
        assert response.get("Content-Type") == "text/html; charset=utf-8"

    def test_deny_with_headers_as_pairs_and_another_type(self):
        response = authorize(lambda request: request.deny(page=b"no", headers=[("Content-Type", "text/plain")]))
        assert (response.body, response.get("Content-Type")) == (b"no", "text/plain")

    @pytest.mark.parametrize("status", [100, 200, 204, 299])
    def test_deny_cannot_let_a_request_through(self, status):
        response = authorize(lambda request: request.deny(status))
        assert response.status == 500

    @pytest.mark.parametrize(
        "process",
        [
            lambda request: None,
            lambda request: request.write("welcome"),
            lambda request: request.set_header("Variable-REMOTE_USER", "bob"),
            lambda request: sys.exit(),
        ],
        ids=["nothing", "a page", "a variable by hand", "sys.exit"],
    )
    def test_who_does_not_decide_denies(self, process):
        response = authorize(process)
        assert response.status == 403
        assert b"welcome" not in response.body

    @pytest.mark.parametrize("status", [201, 204, 206])
    def test_a_status_of_success_is_no_decision(self, status):
        assert authorize(lambda request: setattr(request, "status", status)).status == 403

    def test_a_status_of_refusal_is_one(self):
        def process(request):
            request.status = 402
            request.write("pay first")

        response = authorize(process)
        assert (response.status, response.body) == (402, b"pay first")

    def test_a_redirect_is_a_denial_that_shows_the_way(self):
        response = authorize(lambda request: request.redirect("/login"))
        assert (response.status, response.get("Location")) == (302, "/login")

    def test_an_error_after_allow_is_a_denial(self):
        def process(request):
            request.allow(REMOTE_USER="bob")
            raise ValueError

        response = authorize(process)
        assert response.status == 500
        assert response.get("Variable-REMOTE_USER") is None

    @pytest.mark.parametrize("order", ["allow then deny", "deny then allow", "allow then a status"])
    def test_where_both_are_said_the_request_is_denied(self, order):
        def process(request):
            if order == "deny then allow":
                request.deny()
                request.allow(REMOTE_USER="bob")
            else:
                request.allow(REMOTE_USER="bob")
                if order == "allow then deny":
                    request.deny()
                else:
                    request.status = 404

        response = authorize(process)
        assert response.status == {"allow then deny": 403, "deny then allow": 500, "allow then a status": 404}[order]
        assert response.get("Variable-REMOTE_USER") is None

    @pytest.mark.parametrize("how", ["flush", "a big body"])
    def test_nothing_can_be_sent_before_the_decision(self, how):
        def process(request):
            request.write(b"x" * (300_000 if how == "a big body" else 1))
            request.flush()

        request = run(process, role=Role.AUTHORIZER)
        assert b"Status: 500" in request.output
        assert b"Status: 200" not in request.output

    @pytest.mark.parametrize("size", [1, 300_000])
    def test_a_body_that_is_sent_after_allow_is_dropped(self, size):
        def process(request):
            request.allow()
            request.write(b"x" * size)
            request.flush()
            request.write(b"x" * size)

        request = run(process, role=Role.AUTHORIZER)
        assert request.output.endswith(b"Status: 200 OK\r\n\r\n")

    def test_a_denial_can_be_streamed(self):
        def process(request):
            request.status = 403
            request.write("a")
            request.flush()
            request.write("b")

        response = authorize(process)
        assert (response.status, response.body) == (403, b"ab")

    @pytest.mark.parametrize("variables", [{"REMOTE_USER": "bob\r\nX: y"}, {"a b": "c"}, {"REMOTE_USER": "ż"}])
    def test_a_variable_that_cannot_be_a_header_is_refused(self, variables):
        def process(request):
            with pytest.raises(BadResponse):
                request.allow(**variables)

        assert authorize(process).status == 403

    def test_the_form_of_the_request_that_is_asked_about_is_not_read(self):
        def process(request):
            assert len(request.form) == len(request.files) == 0
            assert request.stdin.read() == b""
            request.allow()

        assert authorize(process, "POST", CONTENT_TYPE="multipart/form-data; boundary=x").status == 200

    def test_the_role_is_a_parameter(self):
        def process(request):
            assert request.role is Role.AUTHORIZER
            request.allow(ROLE=request.params["FCGI_ROLE"])

        assert authorize(process).get("Variable-ROLE") == "AUTHORIZER"


class TestGuardsInTheRoleOfResponder:
    """nginx's auth_request asks a Responder."""

    def test_who_does_not_decide_denies(self):
        assert ask(handler(lambda request: request.write("welcome"), guards=True)).status == 403

    def test_allow_is_a_200_with_variables(self):
        response = ask(handler(lambda request: request.allow(REMOTE_USER="bob"), guards=True))
        assert (response.status, response.get("Variable-REMOTE_USER")) == (200, "bob")

    def test_a_handler_that_does_not_guard_has_nothing_to_allow(self):
        assert ask(lambda request: request.allow()).status == 500

    def test_any_handler_may_deny(self):
        assert ask(lambda request: request.deny(401)).status == 401


class TestWhatIsServed:
    def test_the_roles_are_those_of_the_mapping(self):
        hello = handler(lambda request: None)
        served = HandlerGateway({Role.RESPONDER: hello, Role.FILTER: hello}, new_reference=str)
        assert served.roles == {Role.RESPONDER, Role.FILTER}

    @pytest.mark.parametrize("wrong", [Handler(), dict, "Hello", lambda request: None])
    def test_a_handler_is_a_subclass_of_handler(self, wrong):
        with pytest.raises(TypeError, match="a handler is a subclass of penstock.Handler"):
            HandlerGateway({Role.RESPONDER: wrong}, new_reference=str)

    @pytest.mark.parametrize("make", [RoleGateway, lambda apps: HandlerGateway(apps, new_reference=str)])
    @pytest.mark.parametrize("wrong", [{}, {1: Handler}, {"responder": Handler}])
    def test_the_keys_are_roles_and_there_is_one(self, make, wrong):
        with pytest.raises(TypeError, match="[Rr]ole"):
            make(wrong)

    def test_each_request_goes_to_the_gateway_of_its_role(self):
        seen = []
        served = RoleGateway({role: lambda request, role=role: seen.append((role, request.role)) for role in Role})
        for role in Role:
            served(MemoryRequest(params(), role=role))
        assert seen == [(role, role) for role in Role]
        assert served.roles == set(Role)


    @pytest.mark.parametrize("kind", ["handlers", "gateways"])
    def test_a_role_that_nobody_serves_is_a_500(self, kind, caplog):
        """A server refuses it earlier; plain CGI does not."""
        guard = gateway(handler(lambda request: request.allow()), Role.AUTHORIZER)
        served = guard if kind == "handlers" else RoleGateway({Role.AUTHORIZER: guard})
        request = MemoryRequest(params())
        served(request)
        assert b"Status: 500" in request.output
        assert (request.status, request.ended) == (500, True)
        assert "the role RESPONDER, and no handler is for it" in caplog.text


def wsgi_app(environ, start_response):
    start_response("200 OK", [])
    return [environ["FCGI_ROLE"].encode()]


class TestGatewayFor:
    def make(self, app):
        return gateway_for(app, lambda one: WSGIGateway(one, new_reference=str), new_reference=str)

    def test_a_handler_is_the_responder(self):
        made, roles = self.make(Handler)
        assert isinstance(made, HandlerGateway)
        assert roles == {Role.RESPONDER}

    def test_another_application_is_the_responder_with_nothing_between(self):
        made, roles = self.make(wsgi_app)
        assert isinstance(made, WSGIGateway)
        assert roles == {Role.RESPONDER}

    def test_handlers_for_several_roles_share_a_gateway(self):
        made, roles = self.make({Role.RESPONDER: Handler, Role.AUTHORIZER: Handler})
        assert isinstance(made, HandlerGateway)
        assert roles == made.roles == {Role.RESPONDER, Role.AUTHORIZER}

    def test_an_application_and_a_handler_stand_side_by_side(self):
        guard = handler(lambda request: request.allow())
        made, roles = self.make({Role.RESPONDER: wsgi_app, Role.AUTHORIZER: guard})
        assert roles == {Role.RESPONDER, Role.AUTHORIZER}
        outputs = {}
        for role in roles:
            request = MemoryRequest(params(), role=role)
            made(request)
            outputs[role] = request.output
        assert outputs[Role.RESPONDER].endswith(b"RESPONDER")
        assert b"Status: 200" in outputs[Role.AUTHORIZER]

    def test_an_instance_is_told_from_its_class(self):
        with pytest.raises(TypeError, match="serve the class Handler, not an instance"):
            self.make(Handler())

    def test_a_mapping_with_other_keys_is_refused(self):
        with pytest.raises(TypeError, match=r"penstock\.Role"):
            self.make({"responder": Handler})
