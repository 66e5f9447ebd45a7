"""This file runs scripts that were written for flup: started by a web server, by hand and as plain CGI."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from penstock.client import Client
from tests.compat.flup.waiting import client_of
from tests.gateways.responses import parse
from tests.homes.children import cgi_environ
from tests.processes import PATIENCE

# As Flask's documentation had it.
APPLICATION = """\
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    name = environ['SCRIPT_NAME'] + '|' + environ['PATH_INFO']
    body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
    kinds = '%s %s %s' % (environ['wsgi.multithread'], environ['wsgi.multiprocess'], environ['wsgi.run_once'])
    return [name, '\\n', body, '\\n', kinds]
"""
SCRIPT = """\
#!/usr/bin/python
from flup.server.fcgi import WSGIServer
from yourapplication import app

class ScriptNameStripper(object):
    def __init__(self, app):
        self.app = app
    def __call__(self, environ, start_response):
        environ['SCRIPT_NAME'] = ''
        return self.app(environ, start_response)

app = ScriptNameStripper(app)

if __name__ == '__main__':
    WSGIServer(app).run()
"""
# As the documentation of flup's SCGI server tells how to restart.
RESTARTING = """\
import sys
from flup.server.{module} import WSGIServer
from yourapplication import app
ret = WSGIServer(app, bindAddress='s').run()
print('over')
sys.exit(ret and 42 or 0)
"""


@pytest.fixture(autouse=True)
def application(programs):
    programs.write("yourapplication.py", APPLICATION)


def client_of_listener(sock_dir) -> Client:
    """A client of the socket that a web server has opened: it may connect before the script accepts."""
    return Client(f"unix:{sock_dir}/listener", timeout=PATIENCE)


def test_a_web_server_starts_it_with_a_listening_socket(programs, listener, sock_dir):
    program = programs(SCRIPT, stdin=listener)
    with client_of_listener(sock_dir) as web_server:
        response = web_server.request("POST", "/a/b", body=b"body")
        assert response.body == b"|/a/b\nbody\nTrue False False"
    assert program.stop(signal.SIGTERM) == 0
    assert program.errors() == ""
    assert os.path.exists(f"{sock_dir}/listener"), "it belongs to the web server"


def test_systemds_sockets_are_served_too(programs, listener, sock_dir):
    text = "import os\nos.environ['LISTEN_PID'] = str(os.getpid())\nos.dup2(0, 3)\nos.dup2(1, 0)\n" + SCRIPT
    program = programs(text, stdin=listener, env={"LISTEN_FDS": "1"})
    with client_of_listener(sock_dir) as web_server:
        assert web_server.request("GET", "/x").status == 200
    assert program.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("env", [{}, {"FCGI_FORCE_CGI": "Y"}], ids=["found out", "forced"])
def test_plain_cgi_has_a_body_of_bytes(programs, env):
    # flup crashes from Python 3.8 on, and forced gives text for wsgi.input
    program = programs(SCRIPT, env=cgi_environ("/x", "POST", content_length="4") | env, stdin=subprocess.PIPE)
    program.popen.stdin.write(b"\xff\x00\r\n")
    status, _, body = parse(program.read())
    assert (status, body) == ("200 OK", b"|/x\n\xff\x00\r\n\nFalse True True")
    assert program.wait() == 0
    assert program.errors() == ""


def test_the_option_for_cgi_says_the_same_as_the_environment(programs):
    program = programs(SCRIPT.replace("WSGIServer(app)", "WSGIServer(app, forceCGI=True)"), env=cgi_environ("/x"))
    assert parse(program.read())[0] == "200 OK"
    assert program.wait() == 0


def test_forced_cgi_on_a_listening_socket_is_told_and_serves_fastcgi(programs, listener, sock_dir):
    program = programs(SCRIPT, env={"FCGI_FORCE_CGI": "y"}, stdin=listener)
    with client_of_listener(sock_dir) as web_server:
        assert web_server.request("GET", "/x").status == 200
    assert "standard input is a listening socket" in program.errors()


def test_typed_in_a_shell_it_shows_what_it_answers(programs):
    # python dispatch.fcgi: "You should see some output"
    program = programs(SCRIPT)
    output = program.read().decode()
    assert "200 OK" in output
    assert "||" not in output
    assert "|/" in output
    assert "penstock serve" in output
    assert program.wait() == 0


def test_the_cgi_server_of_flup_answers_cgi(programs):
    # flup's writes bytes to a stream of text
    text = "from flup.server.cgi import WSGIServer\nfrom yourapplication import app\n{}\nimport sys\nsys.exit(3)\n"
    program = programs(text.format("WSGIServer(app).run()"), env=cgi_environ("/x"))
    assert parse(program.read())[2] == b"/cgi-bin/program.cgi|/x\n\nFalse True True"
    assert program.wait() == 3, "run() returns"
    program = programs(text.format("WSGIServer(app, bindAddress=('127.0.0.1', 1)).run()"), env=cgi_environ("/x"))
    assert parse(program.read())[0] == "200 OK"


def test_the_cgi_server_of_flup_says_when_it_is_the_wrong_one(programs, listener):
    text = "from flup.server.cgi import WSGIServer\nfrom yourapplication import app\nWSGIServer(app).run()\n"
    program = programs(text, stdin=listener)
    assert program.wait() == 1
    assert "use flup.server.fcgi" in program.errors()


@pytest.mark.parametrize("module", ["fcgi", "fcgi_single", "fcgi_fork"])
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 42)], ids=["TERM", "INT", "HUP"]
)
def test_a_signal_ends_it_at_once_though_nothing_moves(module, number, status, programs, sock_dir):
    # flup's master of children sleeps in select() and does not notice
    program = programs(RESTARTING.format(module=module))
    with client_of(f"unix:{sock_dir}/s", program.popen) as web_server:
        assert web_server.request("GET", "/").status == 200
        # the connection is kept, and idle
        assert program.stop(number) == status
    assert program.read() == b"over\n"
    assert program.errors() == ""
    assert not os.path.exists(f"{sock_dir}/s")


def test_usr1_ends_the_threaded_server_as_fastcgi_managers_mean_it(programs, sock_dir):
    program = programs(RESTARTING.format(module="fcgi"))
    client_of(f"unix:{sock_dir}/s", program.popen).close()
    assert program.stop(signal.SIGUSR1) == 0
    assert program.read() == b"over\n"


def test_usr1_does_not_kill_the_forking_server(programs, sock_dir):
    # it kills flup's master
    program = programs(RESTARTING.format(module="fcgi_fork"))
    client_of(f"unix:{sock_dir}/s", program.popen).close()
    program.popen.send_signal(signal.SIGUSR1)
    with client_of(f"unix:{sock_dir}/s", program.popen) as web_server:
        assert web_server.request("GET", "/").status == 200
    assert program.stop(signal.SIGTERM) == 0


def test_handlers_of_the_program_are_back_when_the_server_has_ended(programs, sock_dir):
    program = programs(
        "import signal\n"
        "from flup.server.fcgi import WSGIServer\n"
        "from yourapplication import app\n"
        "def own(*_): pass\n"
        "signal.signal(signal.SIGHUP, own)\n"
        "print(WSGIServer(app, bindAddress='s').run(), signal.getsignal(signal.SIGHUP) is own,"
        " signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)\n"
    )
    client_of(f"unix:{sock_dir}/s", program.popen).close()
    program.popen.send_signal(signal.SIGHUP)
    assert program.read() == b"True True True\n"


def test_the_applications_own_log_configuration_is_left_alone(programs, sock_dir):
    program = programs(
        "import logging, sys\n"
        "logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='mine: %(message)s')\n"
        "from flup.server.fcgi import WSGIServer\n"
        "def app(environ, start_response):\n"
        "    raise LookupError('on purpose')\n"
        "WSGIServer(app, bindAddress='s').run()\n"
    )
    with client_of(f"unix:{sock_dir}/s", program.popen) as web_server:
        assert web_server.request("GET", "/").status == 500
    program.popen.send_signal(signal.SIGTERM)
    assert b"\nLookupError: on purpose\n" in program.read()
    assert program.errors() == ""
