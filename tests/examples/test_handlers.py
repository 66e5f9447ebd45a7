"""This file asks the example handlers what a web server would ask them, in memory."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location

import pytest

import penstock
from penstock.gateways.handler import gateway_for
from penstock.gateways.webserver import cgi_params
from penstock.testing import run_gateway
from tests.examples.form import MULTIPART, URLENCODED, multipart, urlencoded
from tests.processes import ROOT


def no_gateway(app):
    raise AssertionError(f"{app} is no handler")


@cache
def served(name):
    """The gateway of an example and its roles. The module gets no place in sys.modules, where another has its name."""
    spec = spec_from_file_location(f"handlers_{name}", ROOT / "examples" / "handlers" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return gateway_for(module.app, no_gateway, new_reference=lambda: "test")


class TestHello:
    def ask(self, method="GET", body=b"", **headers):
        gateway, roles = served("hello")
        assert roles == {penstock.Role.RESPONDER}
        sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return run_gateway(gateway, cgi_params(method, "/", sent, content_length=len(body)), body)

    def test_it_greets_the_world_and_escapes_everybody_else(self):
        assert b"Hello, world!" in self.ask().body
        assert b"Hello, &lt;b&gt;!" in self.ask(Cookie="name=<b>").body

    def test_it_remembers_a_name(self):
        response = self.ask("POST", urlencoded(name="Żółw"), Content_Type=URLENCODED)
        assert "Hello, Żółw!" in response.body.decode()
        cookie = str(response.get("Set-Cookie")).partition(";")[0]
        assert "Hello, Żółw!" in self.ask(Cookie=cookie).body.decode()

    def test_it_tells_what_a_file_holds(self):
        pytest.importorskip("multipart")
        content = bytes(range(256)) * 2000
        page = self.ask("POST", multipart({"name": "you"}, "a<b.bin", content), Content_Type=MULTIPART).body.decode()
        assert "Hello, you!" in page
        assert f"a&lt;b.bin: 512000 bytes, sha256 {hashlib.sha256(content).hexdigest()}" in page


class TestAuthorizer:
    def ask(self, user, password, role, taken_apart=False):
        gateway, roles = served("authorizer")
        assert role in roles
        if taken_apart:
            params = cgi_params("GET", "/private") | {"REMOTE_USER": user, "REMOTE_PASSWD": password}
        else:
            header = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
            params = cgi_params("GET", "/private", [("Authorization", header)])
        return run_gateway(gateway, params, role=role)

    @pytest.mark.parametrize("role", [penstock.Role.AUTHORIZER, penstock.Role.RESPONDER])
    @pytest.mark.parametrize("taken_apart", [False, True])
    def test_it_knows_bob(self, role, taken_apart):
        response = self.ask("bob", "open sesame", role, taken_apart)
        assert (response.status, response.get("Variable-REMOTE_USER")) == (200, "bob")

    @pytest.mark.parametrize("role", [penstock.Role.AUTHORIZER, penstock.Role.RESPONDER])
    @pytest.mark.parametrize(
        ("user", "password"), [("bob", "guess"), ("bob", ""), ("eve", ""), ("", ""), ("eve", "open sesame"), ("ż", "ż")]
    )
    def test_it_knows_nobody_else(self, user, password, role):
        response = self.ask(user, password, role)
        assert response.status == 401
        assert str(response.get("WWW-Authenticate")).startswith("Basic")
        assert b"Members only" in response.body

    @pytest.mark.parametrize("header", ["", "Basic", "Basic %%%", "Basic \xff", "Bearer x", "Basic Ym9i"])
    def test_a_header_that_says_nothing_lets_nobody_in(self, header):
        gateway, _ = served("authorizer")
        params = cgi_params("GET", "/") | {"HTTP_AUTHORIZATION": header}
        assert run_gateway(gateway, params, role=penstock.Role.AUTHORIZER).status == 401


class TestFilter:
    def ask(self, data, changed="1", length=None, path="/notes"):
        gateway, roles = served("filter")
        assert roles == {penstock.Role.FILTER}
        params = cgi_params("GET", path) | {
            "FCGI_DATA_LAST_MOD": changed,
            "FCGI_DATA_LENGTH": str(len(data) if length is None else length),
        }
        return run_gateway(gateway, params, role=penstock.Role.FILTER, data=data)

    def test_it_numbers_lines(self):
        assert self.ask(b"a\nb", path="/numbers").body == b"     1  a\n     2  b"

    def test_a_file_that_has_not_changed_is_not_read_again(self):
        assert self.ask(b"old", "1").body.endswith(b"old")
        assert self.ask(b"new", "1").body.endswith(b"old")
        assert self.ask(b"new", "2").body.endswith(b"new")

    def test_half_a_file_is_a_400_and_not_remembered(self):
        assert self.ask(b"half", length=8, path="/half").status == 400
        assert self.ask(b"half whole", path="/half").body.endswith(b"half whole")
