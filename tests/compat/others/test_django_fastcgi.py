"""This file tests runfastcgi with a real Django behind it, over real sockets, and its options."""

from __future__ import annotations

import signal
import sys

import pytest

from penstock.client import Client
from penstock.compat import django_fastcgi
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ

SITE = """
import sys, types
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
def page(request):
    return HttpResponse("%s %s" % (request.method, request.path), content_type="text/plain")
urlpatterns = [path("", page), path("a/b", page)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False)
from penstock.compat.django_fastcgi import runfastcgi
"""


@pytest.mark.parametrize(
    "call",
    [
        'runfastcgi(method="threaded", daemonize="false")',
        'runfastcgi(["method=threaded", "daemonize=false"])',
        'runfastcgi(["method=prefork"], maxchildren="3")',
        "runfastcgi()",
    ],
)
def test_the_classic_calls_serve_django(programs, tcp, call):
    pytest.importorskip("django")
    program = programs.serve(f"{SITE}{call}\n", tcp)
    with Client(program.address) as client:
        answer = client.request("GET", "/a/b")
        assert (answer.status, answer.body) == (200, b"GET /a/b")
        assert client.request("GET", "/nowhere").status == 404
    program.popen.send_signal(signal.SIGTERM)
    assert program.wait() == 0


def test_one_request_of_plain_cgi_is_answered(programs):
    pytest.importorskip("django")
    done = programs.cgi(f'{SITE}runfastcgi(method="threaded", daemonize="false")\n', cgi_environ("/a/b"))
    assert split(done.stdout)[1].endswith(b"/a/b")
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_socket_a_pidfile_and_a_umask_are_obeyed(programs, processes, sock_dir):
    pytest.importorskip("django")
    place = sock_dir / "s"
    call = f'runfastcgi(method="threaded", socket={str(place)!r}, pidfile="pid", umask="000")'
    text = f"""{SITE}
from penstock.compat.flup.server import fcgi
made = fcgi.WSGIServer._setupSocket
def told(self):
    sock = made(self)
    print("ready", flush=True)
    return sock
fcgi.WSGIServer._setupSocket = told
{call}
"""
    program = processes.start(sys.executable, programs.script(text), cwd=sock_dir, env=programs.environ())
    program.wait_for("ready")
    with Client(f"unix:{place}") as client:
        assert client.request("GET", "/").body == b"GET /"
    assert place.stat().st_mode & 0o777 == 0o666
    assert (sock_dir / "pid").read_text() == f"{program.pid}\n"
    assert "penstock does not daemonize" in program.output()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"nonsense": 1}, "no option 'nonsense'"),
        ({"protocol": "http"}, "protocol is 'http'"),
        ({"method": "greenlets"}, "it is prefork or threaded"),
        ({"host": "localhost"}, "an address is host and port, or socket"),
        ({"host": "localhost", "port": "1", "socket": "s"}, "an address is host and port, or socket"),
        ({"daemonize": "perhaps"}, "daemonize is 'perhaps'; it is true or false"),
    ],
)
def test_an_option_that_makes_no_sense_gets_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        django_fastcgi.runfastcgi(**options)


def test_help_names_every_option(capsys):
    assert django_fastcgi.fastcgi_help("because") is False
    said = capsys.readouterr().err
    assert said.startswith("because\n")
    assert all(f"  {name}=" in said for name in django_fastcgi.FASTCGI_OPTIONS)
