"""This file tests how flup's servers end from within their program: what it calls, sets and overrides."""

# ruff: noqa: N802 - flup's names

from __future__ import annotations

import signal
import threading

import pytest

from penstock.compat.flup import facade, running
from penstock.compat.flup.server import fcgi
from penstock.server.options import ServerOptions
from penstock.server.threads import ThreadServer
from tests.compat.flup.live import Live, hello, live
from tests.processes import PATIENCE
from tests.server.peers import Gate, request


@pytest.fixture
def path(sock_dir):
    return f"{sock_dir}/s"


@pytest.mark.parametrize("reload", [False, True])
def test_run_returns_what_exit_was_told(path, reload):
    with live(fcgi.WSGIServer(hello, bindAddress=path)) as server:
        server.server._exit(reload=reload)
        assert server.join() is reload


def test_setting_keepGoing_ends_it_as_cherrypy_does(path):
    with live(fcgi.WSGIServer(hello, bindAddress=path)) as server:
        assert server.server._keepGoing
        server.server._keepGoing = False
        server.server._threadPool.maxSpare = server.server._threadPool._idleCount
        assert server.join() is False
        assert not server.server._keepGoing


def test_a_server_that_has_ended_can_run_again(path):
    server = fcgi.WSGIServer(hello, bindAddress=path)
    for _ in range(2):
        with live(server) as once, once.client() as client:
            assert client.request("GET", "/").status == 200


def test_requests_that_were_accepted_are_answered(path):
    gate = Gate()

    def application(environ, start_response):
        gate()
        return hello(environ, start_response)

    with live(fcgi.WSGIServer(application, bindAddress=path)) as server, server.connect() as peer:
        peer.send(request())
        gate.arrivals()
        server.server._exit()
        gate.open()
        assert peer.answer().status == 200
        server.join()


def stuck_server(path, gate):
    def application(environ, start_response):
        gate()
        return hello(environ, start_response)

    return fcgi.WSGIServer(application, bindAddress=path)


def test_a_second_signal_does_not_wait_for_requests(path, caplog):
    gate = Gate()
    with live(stuck_server(path, gate)) as server, server.connect() as peer:
        peer.send(request())
        gate.arrivals()
        server.server._intHandler(15, None)
        server.server._intHandler(15, None)
        server.join()
        assert "did not end before the next signal" in caplog.text
        gate.open()


def test_a_request_that_takes_too_long_is_not_waited_for(path, caplog, monkeypatch):
    monkeypatch.setattr(facade, "ServerOptions", lambda **given: ServerOptions(graceful_timeout=0.01, **given))
    monkeypatch.setattr(fcgi.WSGIServer, "_options", facade.Facade._options)
    gate = Gate()
    with live(stuck_server(path, gate)) as server, server.connect() as peer:
        peer.send(request())
        gate.arrivals()
        server.server._exit()
        server.join()
        assert "did not end within 0.01 s" in caplog.text
        gate.open()


def test_a_hup_handler_may_be_overridden_and_call_flups(path):
    class Server(fcgi.WSGIServer):
        def _hupHandler(self, signum, frame):
            called.append(signum)
            fcgi.WSGIServer._hupHandler(self, signum, frame)

    called: list[int] = []
    with live(Server(hello, bindAddress=path)) as server:
        server.server._hupHandler(1, None)
        assert server.join() is True
    assert called == [1]


def test_the_periodic_hook_is_called_while_the_server_runs(path, monkeypatch):
    monkeypatch.setattr(running, "TICK", 0.001)
    called = threading.Semaphore(0)

    class Server(fcgi.WSGIServer):
        def _mainloopPeriodic(self):
            called.release()

    with live(Server(hello, bindAddress=path)):
        for _ in range(3):
            assert called.acquire(timeout=PATIENCE)


def test_a_failure_of_the_server_comes_out_of_run(path, monkeypatch):
    class Broken(ThreadServer):
        def run(self):
            self.stop()
            super().run()
            raise OSError("no poller")

    monkeypatch.setattr("penstock.server.threads.ThreadServer", Broken)
    with pytest.raises(OSError, match="no poller"):
        Live(fcgi.WSGIServer(hello, bindAddress=path)).join()


def test_no_handlers_are_set_outside_of_the_main_thread(path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    with live(fcgi.WSGIServer(hello, bindAddress=path)) as server:
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before
        assert server.server._oldSIGs == []
