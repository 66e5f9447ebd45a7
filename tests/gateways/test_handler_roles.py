"""This file tests decisions, which fail closed, and who is served: roles, handlers, other applications beside them."""

from __future__ import annotations

import sys

import pytest

from penstock.gateways.handler import Handler, HandlerGateway, RoleGateway, gateway_for
from penstock.gateways.response import BadResponse
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest
from tests.gateways.asking import ask, gateway, handler, params, run


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

    def test_what_was_denied_is_not_allowed_again_by_a_status(self):
        def process(request):
            request.allow(REMOTE_USER="bob")
            request.deny()
            request.status = 200

        response = authorize(process)
        assert (response.status, response.get("Variable-REMOTE_USER")) == (403, None)

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

        told = {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": "9" * 15}
        assert authorize(process, "POST", **told).status == 200

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
        with pytest.raises(TypeError, match=r"a handler is a subclass of penstock\.Handler"):
            HandlerGateway({Role.RESPONDER: wrong}, new_reference=str)

    def test_a_handler_without_process_is_refused_at_the_start(self):
        class Idle(Handler):
            pass

        with pytest.raises(TypeError, match=r"Idle has no process\(request\)"):
            HandlerGateway({Role.RESPONDER: Idle}, new_reference=str)

    def test_a_process_that_a_call_would_not_run_is_refused_at_the_start(self):
        """It would give an empty page for ever."""

        async def coroutine(self, request):
            request.write("x")

        def generator(self, request):
            yield "x"

        async def both(self, request):
            yield "x"

        for process in (coroutine, generator, both):
            with pytest.raises(TypeError, match="is async or a generator"):
                HandlerGateway({Role.RESPONDER: type("Odd", (Handler,), {"process": process})}, new_reference=str)

    @pytest.mark.parametrize("make", [RoleGateway, lambda apps: HandlerGateway(apps, new_reference=str)])
    @pytest.mark.parametrize("wrong", [{}, {1: Handler}, {"responder": Handler}])
    def test_the_keys_are_roles_and_there_is_one(self, make, wrong):
        with pytest.raises(TypeError, match="[Rr]ole"):
            make(wrong)

    def test_each_request_goes_to_the_gateway_of_its_role(self):
        seen = []

        def recorder(role):
            return lambda request: seen.append((role, request.role))

        served = RoleGateway({role: recorder(role) for role in Role})
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


class Guard(Handler):
    def process(self, request):
        request.allow()


class TestGatewayFor:
    def make(self, app):
        return gateway_for(app, lambda one: WSGIGateway(one, new_reference=str), new_reference=str)

    def test_a_handler_is_the_responder(self):
        made, roles = self.make(Guard)
        assert isinstance(made, HandlerGateway)
        assert roles == {Role.RESPONDER}

    def test_another_application_is_the_responder_with_nothing_between(self):
        made, roles = self.make(wsgi_app)
        assert isinstance(made, WSGIGateway)
        assert roles == {Role.RESPONDER}

    def test_handlers_for_several_roles_share_a_gateway(self):
        made, roles = self.make({Role.RESPONDER: Guard, Role.AUTHORIZER: Guard})
        assert isinstance(made, HandlerGateway)
        assert roles == made.roles == {Role.RESPONDER, Role.AUTHORIZER}

    def test_an_application_and_a_handler_stand_side_by_side(self):
        made, roles = self.make({Role.RESPONDER: wsgi_app, Role.AUTHORIZER: Guard})
        assert roles == {Role.RESPONDER, Role.AUTHORIZER}
        outputs = {}
        for role in roles:
            request = MemoryRequest(params(), role=role)
            made(request)
            outputs[role] = request.output
        assert outputs[Role.RESPONDER].endswith(b"RESPONDER")
        assert b"Status: 200" in outputs[Role.AUTHORIZER]

    @pytest.mark.parametrize("wrong", [None, 5, "blog:app"])
    def test_what_cannot_be_called_is_refused_at_the_start(self, wrong):
        with pytest.raises(TypeError, match="for the role FILTER there is an object of type"):
            self.make({Role.RESPONDER: Guard, Role.FILTER: wrong})

    def test_an_instance_is_told_from_its_class(self):
        with pytest.raises(TypeError, match="serve the class Guard, not an instance"):
            self.make(Guard())

    def test_a_mapping_with_other_keys_is_refused(self):
        with pytest.raises(TypeError, match=r"penstock\.Role"):
            self.make({"responder": Guard})
