"""This file serves old scripts with `penstock serve`, whatever they build or loop on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from penstock.client import Client
from tests.compat.scripts.test_spawned import ANSWERS, FORM
from tests.gateways.responses import parse
from tests.homes.children import cgi_environ
from tests.processes import PATIENCE, PENSTOCK, environment

MORE = {
    "other/plain.fcgi": ("/x", b"plain at /x"),
    "other/gevent.fcgi": ("/x", b"gevent at /x"),
    "other/handler.fcgi": ("/?q", b"query: q, body: friend=Eve"),
    "own/own.fcgi": ("/x", b"served by the copy"),
}


@pytest.fixture
def serve(processes, spawner):
    """Starts `penstock serve` with a copy of a script; it listens where its options say, or at `bound`."""

    def start(script, *options, bind=True, env=None):
        path = os.path.relpath(spawner.copy(script), spawner.folder)
        if bind:
            options += ("--bind", "unix:bound")
        return processes.penstock("serve", path, *options, cwd=spawner.folder, env=env)

    return start


def client(spawner, place="bound"):
    return Client(f"unix:{spawner.folder}/{place}", timeout=PATIENCE)


@pytest.mark.parametrize("script", [*ANSWERS, *MORE])
def test_it_serves_whatever_a_script_builds_where_the_command_line_says(script, serve, spawner):
    url, answer = (ANSWERS | MORE)[script]
    process = serve(script)
    process.wait_for("copy: ready" if "own" in script else f"listening on unix:{spawner.folder}/bound$")
    method = "GET" if "django" in script else "POST"
    with client(spawner) as web_server:
        response = web_server.request(method, url, FORM, None if method == "GET" else b"friend=Eve")
        assert (response.status, response.body) == (200, answer), process.output()
    assert process.stop() == 0
    process.wait_for("INFO stopped$")
    assert "Traceback" not in process.output()
    left = {path.name for path in spawner.folder.rglob("*") if path.is_socket()}
    assert left == set()


@pytest.mark.parametrize("script", [name for name in ANSWERS if "loop" not in name and "decorator" not in name])
def test_the_options_of_serve_hold(script, serve, spawner):
    process = serve(script, "--threads", "3", "--mount", "/app", "--access-log-format", "json")
    process.wait_for("with 3 threads")
    with client(spawner) as web_server:
        web_server.request("GET", "/app/hello", params={"SCRIPT_NAME": "/wrong"})
    process.wait_for(r'^\{.*"status":\s*\d+')


@pytest.mark.parametrize("script", ["other/loop.fcgi", "other/decorator.fcgi", "other/handler.fcgi"])
def test_a_script_that_does_one_thing_at_a_time_gets_one_thread_and_a_word_about_it(script, serve):
    process = serve(script, "--threads", "3")
    process.wait_for("wants one request at a time, so it gets one thread, not 3")


@pytest.mark.parametrize(
    ("script", "place"), [("other/gevent.fcgi", "gevent.sock"), ("other/decorator.fcgi", "decorator.sock")]
)
def test_without_an_address_on_the_command_line_it_is_the_script_s_relative_to_the_script(
    script, place, serve, spawner
):
    process = serve(script, "--socket-mode", "0600", bind=False)
    process.wait_for(f"listening on unix:{spawner.folder}/other/{place}$")
    assert os.stat(f"{spawner.folder}/other/{place}").st_mode & 0o777 == 0o600
    with client(spawner, f"other/{place}") as web_server:
        assert web_server.request("GET", "/").status == 200


def test_without_any_address_it_is_the_current_folder_s(serve, spawner):
    process = serve("jon/hello.fcgi", bind=False)
    process.wait_for(f"listening on unix:{spawner.folder}/penstock.sock$")
    process.wait_for("fastcgi_pass unix:")


def test_the_variable_for_the_address_wins_over_the_script_as_well(serve, spawner):
    process = serve("other/gevent.fcgi", bind=False, env={"PENSTOCK_BIND": "unix:elsewhere"})
    process.wait_for(f"listening on unix:{spawner.folder}/elsewhere$")


def test_the_wrong_address_of_a_socketserver_is_not_even_tried(serve, spawner, free_port):
    script = spawner.copy("other/handler.fcgi")
    with socket.create_server(("127.0.0.1", free_port)):
        script.write_text(script.read_text().replace("1234", str(free_port)))
        serve("other/handler.fcgi").wait_for("listening on unix:")


def test_scgi_stays_scgi(processes, spawner, free_port):
    path = spawner.copy("other/scgi.fcgi")
    process = processes.penstock("serve", path, "--bind", f"127.0.0.1:{free_port}", cwd=spawner.folder)
    process.wait_for("listening on")
    params = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/x\x00"
    with socket.create_connection(("127.0.0.1", free_port), PATIENCE) as web_server:
        web_server.sendall(b"%d:%s," % (len(params), params))
        with web_server.makefile("rb") as answer:
            assert answer.read().endswith(b"scgi at /x")
    process.wait_for('"GET /x" 200')


def test_what_stands_around_the_call_runs_when_it_is_over_and_says_the_status(serve, spawner):
    script = spawner.copy("other/flipflop.fcgi")
    call = "WSGIServer(application).run()"
    around = f"import sys\ntry:\n    ended = {call}\nfinally:\n    print('over')\nsys.exit(ended and 42)"
    script.write_text(script.read_text().replace(call, around))
    process = serve("other/flipflop.fcgi")
    process.wait_for("listening on")
    with client(spawner) as web_server:
        assert web_server.request("GET", "/x").status == 200
    assert process.stdout[-1:] != ["over"]
    assert process.stop(signal.SIGHUP) == 42
    assert process.stdout[-1] == "over"


def test_it_may_serve_again_where_it_was_told(serve, spawner):
    script = spawner.copy("other/flipflop.fcgi")
    call = "WSGIServer(application).run()"
    script.write_text(script.read_text().replace(call, f"while {call}:\n    pass"))
    process = serve("other/flipflop.fcgi")
    for count in (1, 2):
        process.wait_for(f"listening on unix:{spawner.folder}/bound", count=count)
        with client(spawner) as web_server:
            assert web_server.request("GET", "/x").status == 200
        process.send_signal(signal.SIGHUP if count == 1 else signal.SIGTERM)
    assert process.wait() == 0


def test_a_program_that_calls_penstock_itself_is_served_where_the_command_line_says(serve, spawner):
    script = spawner.copy("other/plain.fcgi")
    script.write_text(
        script.read_text() + "\nimport penstock\npenstock.serve(application, bind='unix:its-own', threads=7)\n"
    )
    process = serve("other/plain.fcgi", "--threads", "2")
    process.wait_for(f"listening on unix:{spawner.folder}/bound")
    process.wait_for("with 2 threads")
    with client(spawner) as web_server:
        assert web_server.request("GET", "/x").body == b"plain at /x"
    assert not os.path.exists(f"{spawner.folder}/other/its-own")


def test_the_script_sees_itself_as_a_web_server_would_start_it(serve, spawner):
    spawner.copy("other/plain.fcgi").write_text(
        "import os, sys\n"
        "facts = f'{__name__} {sys.argv} {sys.path[0]} {os.getcwd()} {sys.modules[__name__].__file__}'\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [facts.encode()]\n"
    )
    process = serve("other/plain.fcgi")
    process.wait_for("listening on")
    folder = f"{spawner.folder}/other"
    with client(spawner) as web_server:
        body = web_server.request("GET", "/").body.decode()
    assert body == f"__main__ ['{folder}/plain.fcgi'] {folder} {folder} {folder}/plain.fcgi"


def test_a_listening_socket_that_was_passed_is_served_if_nobody_names_an_address(processes, spawner):
    script = spawner.copy("jon/hello.fcgi")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{spawner.folder}/passed")
        listener.listen()
        shell = "import os, sys; os.dup2(int(sys.argv[1]), 0); os.execv(sys.argv[2], sys.argv[2:])"
        listener.set_inheritable(True)
        argv = [sys.executable, "-c", shell, str(listener.fileno()), *PENSTOCK, "serve", script]
        with subprocess.Popen(
            argv, pass_fds=[listener.fileno()], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as program:
            with client(spawner, "passed") as web_server:
                assert web_server.request("GET", "/").body == b"Good evening, everybody!\n"
            program.terminate()
            assert b"(fd:0)" in program.communicate(timeout=PATIENCE)[0]
    assert program.returncode == 0


@pytest.mark.parametrize("script", ["project/dispatch.fcgi", "jon/hello.fcgi", "other/loop.fcgi", "other/plain.fcgi"])
def test_as_a_cgi_program_it_answers_the_one_request(script, spawner):
    argv = [*PENSTOCK, "serve", spawner.copy(script)]
    env = environment({**cgi_environ("/x"), "PYTHONWARNINGS": "ignore"})
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    assert parse(done.stdout)[0] == "200 OK"
    assert done.returncode == 0
    assert done.stderr == b"", "it is the web server's error log"
