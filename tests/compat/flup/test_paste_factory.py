"""This file tests flup's entry points for Paste, which get everything as text."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.compat.flup.server import NoDefault, fcgi, fcgi_fork, paste_factory, scgi, scgi_fork
from tests.compat.flup.live import hello

RUNNERS = {
    "run_fcgi_thread": fcgi,
    "run_fcgi_fork": fcgi_fork,
    "run_scgi_thread": scgi,
    "run_scgi_fork": scgi_fork,
}


@pytest.fixture(params=list(RUNNERS))
def run(request, monkeypatch):
    """Calls a runner; what it would have served with."""
    made: list[dict[str, Any]] = []

    class Server:
        def __init__(self, application, **options):
            assert application is hello
            made.append(options)

        def run(self):
            made[-1]["ran"] = True

    monkeypatch.setattr(RUNNERS[request.param], "WSGIServer", Server)

    def run(global_conf=None, **conf):
        getattr(paste_factory, request.param)(hello, {} if global_conf is None else global_conf, **conf)
        assert made[-1].pop("ran")
        return made[-1]

    run.fcgi = "fcgi" in request.param  # type: ignore[attr-defined]
    run.fork = "fork" in request.param  # type: ignore[attr-defined]
    return run


def test_host_and_port_are_texts(run):
    assert run(host="127.0.0.1", port="8000")["bindAddress"] == ("127.0.0.1", 8000)


def test_without_an_address_fastcgi_takes_what_it_was_started_with_and_scgi_its_own_port(run):
    assert run()["bindAddress"] == (None if run.fcgi else ("localhost", 4000))


def test_scgi_lets_in_this_machine_alone_unless_told(run):
    if run.fcgi:
        assert "allowedServers" not in run()
    else:
        assert run()["allowedServers"] == ["127.0.0.1"]
        assert run(allowedServers="10.0.0.1 10.0.0.2")["allowedServers"] == ["10.0.0.1", "10.0.0.2"]
        assert run()["scriptName"] is NoDefault
        assert run(scriptName="/app")["scriptName"] == "/app"


def test_numbers_are_texts(run):
    most = "maxChildren" if run.fork else "maxThreads"
    options = run(minSpare="2", maxSpare="3", **{most: "4"})
    assert (options["minSpare"], options["maxSpare"], options[most]) == (2, 3, 4)
    assert most not in run()


@pytest.mark.parametrize(("text", "value"), [("true", True), ("On", True), ("0", False), ("no", False), (1, True)])
def test_debug_is_a_text_and_may_stand_in_the_global_part(run, text, value):
    # flup's asbool asks for `unicode` and dies
    assert run(debug=text)["debug"] is value
    assert run({"debug": text})["debug"] is value
    assert run({"debug": "true"}, debug="false")["debug"] is False
    assert run()["debug"] is False


def test_a_text_that_is_neither_yes_nor_no_is_refused():
    with pytest.raises(ValueError, match="'maybe' is neither true nor false"):
        paste_factory.asbool("maybe")


@pytest.mark.parametrize(("text", "value"), [("022", 0o22), ("0", 0), ("0o77", 0o77), (18, 18), (None, None)])
def test_a_umask_is_octal(text, value, monkeypatch):
    # flup takes 022 for twenty-two
    made: list[Any] = []

    class Server:
        def __init__(self, application, **options):
            made.append(options)

        def run(self):
            pass

    monkeypatch.setattr(fcgi, "WSGIServer", Server)
    paste_factory.run_fcgi_thread(hello, {}, socket="/run/s", umask=text, multiplexed="yes")
    assert made[0]["umask"] == value
    assert made[0]["bindAddress"] == "/run/s"
    assert made[0]["multiplexed"] is True


@pytest.mark.parametrize("conf", [{"host": "h"}, {"port": "1"}, {"socket": "/s", "host": "h", "port": "1"}])
def test_half_an_address_and_two_addresses_are_refused(conf):
    with pytest.raises(ValueError, match="either socket, or host and port"):
        paste_factory.run_fcgi_thread(hello, {}, **conf)


@pytest.mark.parametrize(
    ("given", "words"), [("a b", ["a", "b"]), (None, []), (["a"], ["a"]), (("a",), ["a"]), (1, [1])]
)
def test_a_list_is_a_text_with_spaces(given, words):
    assert paste_factory.aslist(given) == words
