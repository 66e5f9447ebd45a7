"""This file tests handlers over real sockets: Responders, Authorizers, and several roles on one server."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from penstock.gateways.handler import Handler, HandlerGateway, Request, RoleGateway, gateway_for
from penstock.gateways.request import Disconnected
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import ProtocolStatus, Role
from penstock.testing import build
from penstock.testing.transport import PATIENCE, Dialogue
from tests.gateways.asking import gateway, handler
from tests.server.role_serving import MODES, THREADS, Upper, answer, ask_filter, pairs, serving


@pytest.fixture
def serve(sock_dir):
    return partial(serving, sock_dir)


class Hello(Handler):
    def process(self, request: Request) -> None:
        request.write(f"hello {request.params.get('REMOTE_USER', 'nobody')}, ")
        request.write(request.stdin.read())


class Guard(Handler):
    def process(self, request: Request) -> None:
        if request.query.get("key") == "open":
            request.allow(REMOTE_USER="bob")
        else:
            request.deny(401, headers={"WWW-Authenticate": "Key"})


class TestResponder:
    @MODES
    @THREADS
    def test_a_kept_connection_serves_one_request_after_the_other(self, serve, stream_body, threads):
        served = gateway(Hello)
        with serve(served, stream_body=stream_body, threads=threads) as connect, Dialogue(connect) as dialogue:
            for body in (b"one", b"", b"x" * 200_000):
                request_id = dialogue.begin(pairs=pairs("POST", CONTENT_LENGTH=str(len(body))))
                dialogue.body(request_id, body)
                assert answer(dialogue, request_id).body == b"hello nobody, " + body
            assert dialogue.protocol.idle

    def test_a_small_answer_and_its_end_arrive_in_one_piece(self, serve):
        with serve(gateway(Hello)) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(pairs=pairs())
            dialogue.body(request_id, b"")
            dialogue.receive()
            assert not dialogue.protocol.is_open(request_id)

    @THREADS
    def test_a_failure_harms_no_other_request(self, serve, threads):
        def process(request):
            if request.path == "/exit":
                raise SystemExit(1)
            if request.path == "/fail":
                raise ValueError
            request.write("fine")

        with serve(gateway(handler(process)), threads=threads) as connect, Dialogue(connect) as dialogue:
            for url, status in (("/exit", 500), ("/", 200), ("/fail", 500), ("/", 200)):
                request_id = dialogue.begin(pairs=pairs(url=url))
                dialogue.body(request_id, b"")
                assert answer(dialogue, request_id).status == status

    def test_a_failure_in_the_middle_of_an_answer_cuts_the_connection_off(self, serve):
        def process(request):
            request.write("half")
            request.flush()
            raise ValueError

        with serve(gateway(handler(process))) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(pairs=pairs())
            dialogue.body(request_id, b"")
            assert dialogue.cut_off() == [request_id]
            assert dialogue.output[request_id].endswith(b"half")

    def test_what_is_flushed_arrives_while_the_handler_goes_on(self, serve):
        arrived = threading.Event()

        def process(request):
            request.write("first")
            request.flush()
            assert arrived.wait(PATIENCE)
            request.write("second")

        with serve(gateway(handler(process))) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(pairs=pairs())
            dialogue.body(request_id, b"")
            while not dialogue.output[request_id].endswith(b"first"):
                dialogue.receive()
            arrived.set()
            assert answer(dialogue, request_id).body == b"firstsecond"

    def test_a_client_that_has_left_ends_the_handler_and_writes_no_traceback(self, serve, caplog):
        ended = threading.Event()

        def process(request):
            try:
                while True:
                    request.write(b"x" * 100_000)
                    request.flush()
            except Disconnected:
                ended.set()
                raise

        with serve(gateway(handler(process))) as connect:
            with Dialogue(connect) as dialogue:
                dialogue.body(dialogue.begin(pairs=pairs()), b"")
                dialogue.receive()
            assert ended.wait(PATIENCE)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class TestAuthorizer:
    @THREADS
    @MODES
    def test_it_is_asked_at_the_end_of_params_without_any_stdin(self, serve, threads, stream_body):
        """mod_fcgid sends none at all, lighttpd none for POST."""
        served = gateway(Guard, Role.AUTHORIZER)
        with serve(served, threads=threads, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
            for method in ("GET", "POST"):
                request_id = dialogue.begin(Role.AUTHORIZER, pairs(method, "/?key=open", CONTENT_LENGTH="5"))
                response = answer(dialogue, request_id)
                assert (response.status, response.get("Variable-REMOTE_USER")) == (200, "bob")

    @THREADS
    @pytest.mark.parametrize("stdin", [b"", b"a body that is not its business"], ids=["its end", "a body"])
    @pytest.mark.parametrize("late", [False, True], ids=["at once", "after the answer"])
    def test_stdin_that_comes_all_the_same_does_no_harm(self, serve, threads, stdin, late):
        with serve(gateway(Guard, Role.AUTHORIZER), threads=threads) as connect, Dialogue(connect) as dialogue:
            for url, status in (("/?key=open", 200), ("/", 401), ("/?key=open", 200)):
                request_id = dialogue.begin(Role.AUTHORIZER, pairs("POST", url))
                if late:
                    found = answer(dialogue, request_id)
                dialogue.send(build.stdin(stdin, request_id))
                if not late:
                    found = answer(dialogue, request_id)
                assert found.status == status

    def test_without_keep_conn_the_connection_ends_after_the_answer(self, serve):
        with serve(gateway(Guard, Role.AUTHORIZER)) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(Role.AUTHORIZER, pairs(), keep_conn=False)
            assert answer(dialogue, request_id).status == 401
            assert dialogue.cut_off() == []

    def test_the_params_may_be_as_few_as_the_specification_says(self, serve):
        """No CONTENT_LENGTH, PATH_INFO, PATH_TRANSLATED, SCRIPT_NAME (section 6.3); not even a method is needed."""

        def process(request):
            assert request.method == ""
            request.allow(PATH=request.path, ROLE=request.params["FCGI_ROLE"])

        served = gateway(handler(process), Role.AUTHORIZER)
        with serve(served) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(Role.AUTHORIZER, [("REQUEST_URI", "/private/x")])
            response = answer(dialogue, request_id)
        assert response.get("Variable-PATH") == "/private/x"
        assert response.get("Variable-ROLE") == "AUTHORIZER"

    def test_a_failure_is_a_denial(self, serve):
        def process(request):
            request.allow()
            raise ValueError

        with serve(gateway(handler(process), Role.AUTHORIZER)) as connect, Dialogue(connect) as dialogue:
            assert answer(dialogue, dialogue.begin(Role.AUTHORIZER, pairs())).status == 500


class TestSeveralRoles:
    def serve_all(self, serve, app, **options):
        served, roles = gateway_for(app, lambda one: WSGIGateway(one, new_reference=str), new_reference=str)
        assert isinstance(served, HandlerGateway | RoleGateway)
        assert served.roles == roles
        return serve(served, **options)

    @THREADS
    def test_one_server_and_one_connection_serve_all_three(self, serve, threads):
        app = {Role.RESPONDER: Hello, Role.AUTHORIZER: Guard, Role.FILTER: Upper}
        with self.serve_all(serve, app, threads=threads) as connect, Dialogue(connect) as dialogue:
            asked = dialogue.begin(Role.AUTHORIZER, pairs(url="/?key=open"))
            user = answer(dialogue, asked).get("Variable-REMOTE_USER")
            request_id = dialogue.begin(pairs=pairs(REMOTE_USER=str(user)))
            dialogue.body(request_id, b"")
            page = answer(dialogue, request_id).body
            assert page == b"hello bob, "
            assert answer(dialogue, ask_filter(dialogue, page)).body == b"|HELLO BOB, "

    def test_side_by_side_on_one_connection(self, serve):
        app = {Role.RESPONDER: Hello, Role.AUTHORIZER: Guard}
        with self.serve_all(serve, app) as connect, Dialogue(connect) as dialogue:
            slow = dialogue.begin(pairs=pairs("POST"))
            quick = dialogue.begin(Role.AUTHORIZER, pairs())
            assert answer(dialogue, quick).status == 401
            dialogue.body(slow, b"late")
            assert answer(dialogue, slow).body == b"hello nobody, late"

    def test_a_wsgi_application_is_guarded_by_a_handler(self, serve):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [environ["FCGI_ROLE"].encode()]

        guarded = {Role.RESPONDER: app, Role.AUTHORIZER: Guard}
        with self.serve_all(serve, guarded) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(pairs=pairs())
            dialogue.body(request_id, b"")
            assert answer(dialogue, request_id).body == b"RESPONDER"
            assert answer(dialogue, dialogue.begin(Role.AUTHORIZER, pairs())).status == 401

    @pytest.mark.parametrize("role", [Role.RESPONDER, Role.FILTER])
    def test_a_role_without_a_handler_is_unknown_and_logged_and_the_server_lives(self, serve, role, caplog):
        with self.serve_all(serve, {Role.AUTHORIZER: Guard}) as connect, Dialogue(connect) as dialogue:
            request_id = dialogue.begin(role, pairs())
            assert dialogue.response(request_id) == b""
            assert dialogue.statuses[request_id] is ProtocolStatus.UNKNOWN_ROLE
            assert answer(dialogue, dialogue.begin(Role.AUTHORIZER, pairs())).status == 401
        assert f"role {int(role)} is not served here" in caplog.text


class TestForms:
    BODY = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc5\xbc\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="\xc5\xbc.bin"\r\n\r\n' + bytes(range(256)) * 4000
    ) + b"\r\n--x--\r\n"

    @MODES
    def test_a_form_with_a_file_arrives(self, serve, stream_body):
        pytest.importorskip("multipart")

        def process(request):
            upload = request.files["f"]
            assert upload.file.read() == bytes(range(256)) * 4000
            request.write(f"{request.form['a']} {upload.filename} {upload.size}")

        served = gateway(handler(process))
        with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
            for length in (str(len(self.BODY)), ""):
                more = {"CONTENT_TYPE": "multipart/form-data; boundary=x", "CONTENT_LENGTH": length}
                request_id = dialogue.begin(pairs=pairs("POST", **more))
                dialogue.body(request_id, self.BODY)
                assert answer(dialogue, request_id).body.decode() == "ż ż.bin 1024000"

    @MODES
    def test_a_form_over_its_limits_is_a_413_and_the_server_lives(self, serve, stream_body):
        served = gateway(handler(lambda request: request.write(request.form["a"])))
        kind = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
        with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
            for body, status in ((b"a=1", 200), (b"a=" + b"x" * 2_000_000, 413), (b"b=1", 400), (b"a=1", 200)):
                request_id = dialogue.begin(pairs=pairs("POST", **kind, CONTENT_LENGTH=str(len(body))))
                dialogue.body(request_id, body)
                assert answer(dialogue, request_id).status == status
