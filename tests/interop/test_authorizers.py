"""This file has real web servers ask an authorizer, each with the very configuration that docs/authorizers.md shows."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop import backend
from tests.interop.apache import MODULES
from tests.interop.apache import start as start_apache
from tests.interop.guard import PAGE
from tests.interop.lighttpd import start as start_lighttpd
from tests.interop.nginx import Front
from tests.interop.nginx import start as start_nginx
from tests.interop.unprivileged import SOURCE, make_scratch
from tests.interop.webserver import WebServer
from tests.processes import PATIENCE, ROOT, Process, Processes

GUARD = ROOT / "tests" / "interop" / "guard.py"
MEMBER = {"Cookie": "key=open"}


class Answer(NamedTuple):
    """What the client of a web server gets."""

    status: int
    headers: dict[str, str]
    body: str


class Place:
    """A guarded application, and the authorizer in front of it, for the web servers of this file.

    Attributes:
        program: the authorizer as an executable, not there yet.
    """

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes = processes
        self.folder = folder
        self.program = folder / "guard.fcgi"
        self.app = backend.start(processes, bind=(f"unix:{folder}/app", "127.0.0.1:0"), app=backend.PLAIN)
        binds = ("--bind", f"unix:{folder}/guard", "--bind", "127.0.0.1:0")
        self.guard: Process = processes.penstock("serve", GUARD, *binds)
        self.guard.wait_for("penstock .* serves ")
        self._guard_at = self.guard.wait_for(r"listening on (127\.0\.0\.1:\d+)")[1]

    def documented(self, name: str) -> str:
        """The block of docs/authorizers.md that begins with `# NAME`, with the addresses of this place."""
        text = (ROOT / "docs" / "authorizers.md").read_text("utf-8")
        found = re.search(rf"^```\n(# {re.escape(name)}\b.*?)^```$", text, re.DOTALL | re.MULTILINE)
        assert found, name
        block = found[1]
        for theirs, ours in (
            ("/run/guard.sock", f"{self.folder}/guard"),
            ("/run/app.sock", f"{self.folder}/app"),
            ("/srv/guard.fcgi", f"{self.program}"),
            ("fcgi://127.0.0.1:9000/", f"fcgi://{self.app.addresses[1]}/"),
            ("fcgi://127.0.0.1:9001/", f"fcgi://{self._guard_at}/"),
        ):
            block = block.replace(theirs, ours)
        return block

    def new_folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


@pytest.fixture(scope="module")
def place(lasting: Processes) -> Iterator[Place]:
    folder = make_scratch()
    yield Place(lasting, folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def program(place: Place, web_python: str) -> Path:
    """The authorizer as an executable that Apache's user can run."""
    place.program.write_text(f"#!{web_python}\n{GUARD.read_text('utf-8')}", encoding="utf-8")
    place.program.chmod(0o755)
    return place.program


@pytest.fixture(scope="module")
def by_lighttpd(place: Place, lighttpd: str) -> WebServer:
    return start_lighttpd(place.processes, lighttpd, place.new_folder("lighttpd"), place.documented("lighttpd"))


@pytest.fixture(scope="module")
def by_authnz_fcgi(place: Place, apache2: str) -> WebServer:
    block = place.documented("Apache with mod_authnz_fcgi")
    modules = (*MODULES, "authnz_fcgi")
    return start_apache(place.processes, apache2, place.new_folder("authnz"), block, modules=modules)


@pytest.fixture(scope="module")
def by_fcgid(place: Place, apache2: str, mod_fcgid: Path, program: Path) -> WebServer:
    block = f"{place.documented('Apache with mod_fcgid')}FcgidInitialEnv PYTHONPATH {SOURCE}\n"
    modules = (*MODULES, "fcgid", "headers")
    return start_apache(place.processes, apache2, place.new_folder("fcgid"), block, modules=modules)


@pytest.fixture(scope="module")
def by_nginx(place: Place, nginx: str) -> int:
    """The port of nginx."""
    block = place.documented("nginx").replace("include fastcgi_params", "include PARAMS")
    front = Front(f"unix:{place.folder}/app", style=block)
    return start_nginx(place.processes, nginx, place.new_folder("nginx"), [front]).port(front)


def ask(port: int, target: str, headers: dict[str, str] | None = None, method: str = "GET") -> Answer:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with closing(connection):
        connection.request(method, target, b"a=b" if method == "POST" else None, headers or {})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode())


def check_member(answer: Answer) -> None:
    """The application has answered, and knows what the authorizer said."""
    assert answer.status == 200, answer
    seen = json.loads(answer.body)
    assert (seen["REMOTE_USER"], seen["MEMBER_SINCE"]) == ("bob", "1996")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["FCGI_ROLE"]) == ("/private", "/show", "RESPONDER")


class TestLighttpd:
    def test_the_application_gets_the_variables_and_the_client_none(self, by_lighttpd):
        answer = ask(by_lighttpd.port, "/private/show", MEMBER)
        check_member(answer)
        assert not [name for name in answer.headers if name.startswith(("Variable", "X-Guard"))]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_denial_reaches_the_client_as_it_is(self, by_lighttpd, method):
        answer = ask(by_lighttpd.port, "/private/show", method=method)
        assert (answer.status, answer.body) == (403, PAGE)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert (answer.headers["X-Guard"], answer.headers["WWW-Authenticate"]) == ("refused", "Key")
        assert answer.headers["X-Path"] == "/private/show"

    def test_a_redirect_reaches_the_client(self, by_lighttpd):
        answer = ask(by_lighttpd.port, "/private/show?login")
        assert (answer.status, answer.headers["Location"]) == (302, "/login")

    def test_an_error_is_a_page_and_no_permission(self, by_lighttpd, place):
        answer = ask(by_lighttpd.port, "/private/show?raise", MEMBER)
        assert (answer.status, answer.headers["Content-Type"]) == (500, "text/html; charset=utf-8")
        assert "failed to answer" in answer.body
        place.guard.wait_for("lost after allow")

    def test_what_begins_like_the_prefix_is_guarded_as_well(self, by_lighttpd):
        assert ask(by_lighttpd.port, "/privateer").status == 403

    def test_a_body_reaches_the_application_behind(self, by_lighttpd):
        answer = ask(by_lighttpd.port, "/private/echo", MEMBER, method="POST")
        assert (answer.status, json.loads(answer.body)["length"]) == (200, 3)


class TestAuthnzFcgi:
    def test_the_application_gets_the_variables_and_the_client_the_headers(self, by_authnz_fcgi):
        answer = ask(by_authnz_fcgi.port, "/private/show", MEMBER)
        check_member(answer)
        assert answer.headers["X-Guard"] == "passed"
        assert not [name for name in answer.headers if name.startswith("Variable")]

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_denial_reaches_the_client_but_for_its_type(self, by_authnz_fcgi, method):
        answer = ask(by_authnz_fcgi.port, "/private/show", method=method)
        assert (answer.status, answer.headers["X-Guard"], answer.body) == (403, "refused", PAGE)
        assert answer.headers["Content-Type"] == "text/html; charset=iso-8859-1"
        assert answer.headers["X-Path"] == "/private/show"

    def test_a_redirect_reaches_the_client(self, by_authnz_fcgi):
        answer = ask(by_authnz_fcgi.port, "/private/show?login")
        assert (answer.status, answer.headers["Location"]) == (302, "/login")

    def test_an_error_is_a_page_and_no_permission(self, by_authnz_fcgi):
        answer = ask(by_authnz_fcgi.port, "/private/show?raise", MEMBER)
        assert (answer.status, "failed to answer" in answer.body) == (500, True)


class TestModFcgid:
    def test_the_application_gets_the_variables_and_so_does_the_client_but_for_those_taken_out(self, by_fcgid):
        answer = ask(by_fcgid.port, "/private/show", MEMBER)
        check_member(answer)
        assert (answer.headers["X-Guard"], answer.headers["Variable-MEMBER_SINCE"]) == ("passed", "1996")
        assert "Variable-REMOTE_USER" not in answer.headers

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("query", ["", "?login", "?401"])
    def test_any_denial_is_apaches_own_401(self, by_fcgid, method, query):
        answer = ask(by_fcgid.port, f"/private/show{query}", method=method)
        assert answer.status == 401
        assert PAGE not in answer.body
        assert "Location" not in answer.headers
        assert answer.headers.get("X-Path") == (None if "login" in query else "/private/show")

    def test_an_error_is_a_401_and_its_traceback_in_the_error_log(self, by_fcgid):
        assert ask(by_fcgid.port, "/private/show?raise", MEMBER).status == 401
        by_fcgid.process.wait_for("LookupError: lost after allow")
        assert not [line for line in by_fcgid.process.stderr if '"GET /private' in line], "it logs no requests there"

    def test_an_authenticator_gets_name_and_password_and_cannot_change_the_name(self, place, apache2, by_fcgid):
        block = (by_fcgid.folder / "apache.conf").read_text("utf-8").partition("# Apache with mod_fcgid")[2]
        block = block.replace("Require all granted", "Require valid-user")
        basic = "AuthType Basic\n  AuthName members\n  AuthBasicAuthoritative off\n  FcgidAuthenticator"
        block = block.replace("FcgidAccessChecker", basic)
        folder = place.new_folder("basic")
        web = start_apache(place.processes, apache2, folder, block, modules=(*MODULES, "fcgid", "headers"))
        assert ask(web.port, "/private/show", MEMBER).status == 401
        for password, status in ((b"wrong", 401), (b"open sesame", 200)):
            credentials = base64.b64encode(b"alice:" + password).decode()
            answer = ask(web.port, "/private/show", {"Authorization": f"Basic {credentials}"})
            assert answer.status == status
        seen = json.loads(answer.body)
        assert (seen["REMOTE_USER"], seen["MEMBER_SINCE"], "REMOTE_PASSWD" in seen) == ("alice", "1996", False)


class TestNginx:
    def test_the_application_gets_the_user_and_the_client_no_header(self, by_nginx):
        answer = ask(by_nginx, "/private/show", MEMBER)
        assert answer.status == 200
        seen = json.loads(answer.body)
        assert (seen["REMOTE_USER"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("bob", "/private", "/show")
        assert "X-Guard" not in answer.headers

    @pytest.mark.parametrize(("query", "status"), [("", 403), ("?401", 401), ("?login", 500)])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_denial_is_nginxs_own_page(self, by_nginx, query, status, method):
        answer = ask(by_nginx, f"/private/show{query}", method=method)
        assert (answer.status, PAGE in answer.body, "Location" in answer.headers) == (status, False, False)
        assert (answer.headers.get("WWW-Authenticate") == "Key") == (status == 401)

    def test_an_error_is_a_500(self, by_nginx):
        assert ask(by_nginx, "/private/show?raise", MEMBER).status == 500
