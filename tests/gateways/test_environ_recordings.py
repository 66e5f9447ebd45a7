"""This file holds the repairs of paths against recordings of what seven web servers send."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from wsgiref.validate import check_environ  # type: ignore[attr-defined]  # public, but not in typeshed

import pytest

from penstock.gateways import environ
from penstock.gateways.asgi_scope import build_scope
from penstock.gateways.environ import QUIRKS, merge, normalise, scheme
from penstock.gateways.request import AsyncRequest

VECTORS = tomllib.loads((Path(__file__).parent.parent / "vectors" / "environ.toml").read_text(encoding="utf-8"))[
    "vector"
]


def seen_by_the_application(vector):
    params = merge([(name, value) for name, value in vector["params"]])
    normalise(params, vector.get("mount"))
    return params


def scope_of(vector):
    params = {"REQUEST_METHOD": "GET", **seen_by_the_application(vector)}
    names, values = zip(*vector["params"], strict=True)
    request = SimpleNamespace(names=list(names), values=list(values), params=params)
    return build_scope(cast(AsyncRequest, request), {})


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['server']}: {vector['setup']}")
class TestRecordings:
    def test_script_name_and_path_info_are_right(self, vector):
        params = seen_by_the_application(vector)
        assert {name: params[name] for name in vector["expect"]} == vector["expect"]

    def test_scheme_and_other_parameters_are_right(self, vector):
        params = seen_by_the_application(vector)
        assert scheme(params) == vector["scheme"]
        for name, value in vector.get("also", {}).items():
            assert params.get(name, False) == value

    def test_asgi_has_the_same(self, vector):
        scope = scope_of(vector)
        expect = {name: value.encode("latin-1").decode("utf-8", "replace") for name, value in vector["expect"].items()}
        assert scope["root_path"] == expect["SCRIPT_NAME"]
        assert scope["path"] == expect["SCRIPT_NAME"] + expect["PATH_INFO"]
        assert scope["query_string"] == expect["QUERY_STRING"].encode()
        assert scope["scheme"] == vector["scheme"]

    def test_a_second_round_changes_nothing(self, vector):
        params = seen_by_the_application(vector)
        again = dict(params)
        normalise(again, vector.get("mount"))
        assert again == params

    def test_python_s_own_wsgi_validator_accepts_the_result(self, vector):
        params = seen_by_the_application(vector)
        request = {
            **{name: value for name, value in params.items() if name not in ("CONTENT_LENGTH", "HTTP_CONTENT_LENGTH")},
            "REQUEST_METHOD": "GET",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": scheme(params),
            "wsgi.input": Stream(),
            "wsgi.errors": Stream(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        check_environ(request)


PRINTED = [vector for vector in VECTORS if "config" in vector]


@pytest.mark.parametrize("vector", PRINTED, ids=lambda vector: vector["setup"])
class TestPrintedConfigurations:
    """A whole request, as the configurations of `penstock config` have it sent."""

    def test_client_host_and_raw_path_are_those_of_the_request(self, vector):
        params = seen_by_the_application(vector)
        scope = scope_of(vector)
        assert (params["REMOTE_ADDR"], params["REMOTE_PORT"]) == (vector["client"], "40000")
        assert scope["client"] == (vector["client"], 40000)
        assert params["HTTP_HOST"] == "127.0.0.1:8080"
        assert scope["raw_path"] == vector["target"].partition("?")[0].encode()
        assert scope["http_version"] == "1.1"

    def test_the_name_of_the_web_server_is_no_address_with_a_port(self, vector):
        params = seen_by_the_application(vector)
        assert params["SERVER_NAME"] in ("127.0.0.1", "default")  # h2o sends the key of its configuration
        assert params["SERVER_PORT"] == "8080"

    def test_repeated_headers_are_one_and_a_proxy_is_none(self, vector):
        params = seen_by_the_application(vector)
        assert params["HTTP_X_DUP"] == "1, 2"
        assert params["HTTP_COOKIE"] in ("a=1; b=2", "a=1;b=2", "a=1, b=2")
        assert "HTTP_PROXY" not in params


@pytest.mark.parametrize("mount", ["", "/app"])
def test_there_is_a_recording_of_each_printed_configuration(mount):
    found = {vector["config"] for vector in PRINTED if vector["expect"]["SCRIPT_NAME"] == mount}
    assert found == {
        *("nginx", "apache-fcgid", "apache-proxy-fcgi", "lighttpd", "lighttpd-bin-path", "caddy", "haproxy", "h2o"),
    }


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.org:8080", "example.org"),
        ("[::1]:8080", "[::1]"),
        ("[::1]", "[::1]"),
        ("example.org", "example.org"),
    ],
)
def test_a_server_name_that_is_the_header_host_loses_its_port(host, name):
    params = {"SERVER_NAME": host, "HTTP_HOST": host}
    normalise(params)
    assert params["SERVER_NAME"] == name


def test_a_server_name_of_the_web_server_s_own_is_left_alone():
    params = {"SERVER_NAME": "fe80::1:8080", "HTTP_HOST": "[fe80::1]:8080"}
    normalise(params)
    assert params["SERVER_NAME"] == "fe80::1:8080"


class Stream:
    """All methods that the validator looks for in wsgi.input and wsgi.errors."""

    read = readline = readlines = __iter__ = flush = write = writelines = None


@pytest.mark.parametrize("server", ["nginx", "lighttpd", "mod_fcgid", "mod_proxy_fcgi", "Caddy", "HAProxy", "h2o"])
def test_there_are_recordings_of_each_web_server(server):
    assert sum(vector["server"] == server for vector in VECTORS) >= 4


@pytest.mark.parametrize("quirk", [quirk for quirk in QUIRKS if quirk.repair], ids=lambda quirk: quirk.seen)
def test_each_repair_is_needed_by_a_recording(quirk, monkeypatch):
    monkeypatch.setattr(environ, "_REPAIRS", tuple(repair for repair in environ._REPAIRS if repair is not quirk.repair))
    results = [seen_by_the_application(vector) for vector in VECTORS]
    wrong = [
        vector
        for vector, params in zip(VECTORS, results, strict=True)
        if any(params[name] != value for name, value in vector["expect"].items())
    ]
    assert wrong


@pytest.mark.parametrize("quirk", QUIRKS, ids=lambda quirk: quirk.drop or quirk.seen)
def test_a_row_of_the_table_drops_or_repairs(quirk):
    assert bool(quirk.drop) != bool(quirk.repair)
    assert quirk.seen
    assert quirk.what


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING"])
def test_a_parameter_that_lies_is_dropped(name):
    params = {"SCRIPT_NAME": "", "PATH_INFO": "/", name: "http://evil", "HTTP_X": "kept"}
    normalise(params)
    assert name not in params
    assert params["HTTP_X"] == "kept"


@pytest.mark.parametrize(
    "sent",
    [
        # A path was split already, whatever SCRIPT_FILENAME looks like.
        {"SCRIPT_NAME": "/m/h.py", "PATH_INFO": "/x", "SCRIPT_FILENAME": "proxy:fcgi://name/h.py"},
        # The URL ends like PATH_INFO, though not at a slash.
        {"SCRIPT_NAME": "/run.fcgi", "PATH_INFO": "b", "REQUEST_URI": "/ab"},
        # PATH_INFO is lost, and the URL does not lie in the program's directory.
        {"SCRIPT_NAME": "/cgi/run.fcgi", "PATH_INFO": "", "REQUEST_URI": "/blog/x"},
    ],
)
def test_what_no_row_explains_is_left_alone(sent):
    params = dict(sent)
    normalise(params)
    assert {name: params[name] for name in sent} == sent
