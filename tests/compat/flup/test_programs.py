"""This file runs frameworks as they come from PyPI, which know flup, and asks them: the facade is all they get."""

from __future__ import annotations

import io
import os
import signal

import pytest

from penstock.compat.flup.client.scgi_app import SCGIApp
from penstock.gateways.webserver import cgi_params
from tests.compat.flup.waiting import client_of
from tests.interop import nginx as nginx_module
from tests.processes import find_free_port

FORM = [("Content-Type", "application/x-www-form-urlencoded")]

BOTTLE = """\
import bottle
@bottle.route('/hello/<name>')
def hello(name):
    return 'Hello %s %s' % (name, bottle.request.query.x)
@bottle.post('/form')
def form():
    return bottle.request.forms.a
bottle.run(server='flup', bindAddress='s', quiet=True)
"""
CHERRYPY = """\
import sys
import cherrypy
from cherrypy.process.servers import FlupFCGIServer, FlupSCGIServer, ServerAdapter
class Root:
    @cherrypy.expose
    def hello(self, name, x=''):
        return 'Hello %s %s' % (name, x)
    @cherrypy.expose
    def form(self, a):
        return a
cherrypy.config.update({'environment': 'production'})
cherrypy.tree.mount(Root(), '/')
cherrypy.server.unsubscribe()
for kind, port in zip((FlupFCGIServer, FlupSCGIServer), map(int, sys.argv[1:])):
    server = kind(application=cherrypy.tree, bindAddress=('127.0.0.1', port))
    ServerAdapter(cherrypy.engine, server, bind_addr=('127.0.0.1', port)).subscribe()
cherrypy.engine.signals.subscribe()
cherrypy.engine.start()
print('started')
cherrypy.engine.block()
"""
WEBPY = """\
import web
urls = ('/hello/(.*)', 'hello', '/form', 'form')
class hello:
    def GET(self, name):
        return 'Hello %s %s' % (name, web.input(x='').x)
class form:
    def POST(self):
        return web.input().a
if __name__ == '__main__':
    web.application(urls, globals()).run()
"""
PASTE = """\
import sys
from paste.deploy import loadapp, loadserver
config = 'config:%s/app.ini' % sys.path[0]
loadserver(config, name=sys.argv[1])(loadapp(config))
print('over')
"""
PASTE_APPLICATION = """\
from urllib.parse import parse_qs
def make(global_conf):
    return app
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/form':
        return [parse_qs(environ['wsgi.input'].read().decode())['a'][0]]
    return ['Hello ' + environ['PATH_INFO'].rpartition('/')[2], environ['QUERY_STRING'].replace('x=', ' ')]
"""
PASTE_CONFIGURATION = """\
[app:main]
use = call:application:make
[server:main]
use = egg:flup#fcgi
socket = %(here)s/s
umask = 007
maxThreads = 3
[server:fork]
use = egg:flup#fcgi_fork
socket = %(here)s/s
maxRequests = 10
[server:pastescript]
use = egg:PasteScript#flup_fcgi_thread
socket = %(here)s/s
[server:ajp]
use = egg:flup#ajp
"""


def check(client) -> None:
    """What each of the programs answers."""
    assert client.request("GET", "/hello/world?x=1").body == b"Hello world 1"
    assert client.request("POST", "/form", FORM, b"a=5").body == b"5"


@pytest.fixture
def check_behind_nginx(nginx, processes, sock_dir):
    """Ask what listens at an address by way of a real nginx, on kept connections."""

    def check_at(address: str) -> None:
        front = nginx_module.Front(address)
        server = nginx_module.start(processes, nginx, sock_dir, [front])
        connection = server.connect(front)
        for _ in range(2):
            response, body = nginx_module.ask(connection, "GET", "/hello/you?x=1")
            assert (response.status, body) == (200, b"Hello you 1")
            response, body = nginx_module.ask(connection, "POST", "/form", b"a=5", Content_Type=FORM[0][1])
            assert (response.status, body) == (200, b"5")
        connection.close()

    return check_at


def test_bottle(programs, sock_dir, check_behind_nginx):
    pytest.importorskip("bottle")
    program = programs(BOTTLE)
    with client_of(f"unix:{sock_dir}/s", program.popen) as client:
        check(client)
        assert client.request("GET", "/nowhere").status == 404
    check_behind_nginx(f"unix:{sock_dir}/s")
    assert program.stop(signal.SIGTERM) == 0
    assert program.errors() == ""


def test_cherrypy_over_fastcgi_and_scgi_in_threads_of_its_own(programs, check_behind_nginx):
    pytest.importorskip("cherrypy")
    ports = [find_free_port(), find_free_port()]
    program = programs(CHERRYPY, *map(str, ports))
    assert program.line() == "started"
    with client_of(f"127.0.0.1:{ports[0]}", program.popen) as client:
        check(client)
    check_behind_nginx(f"127.0.0.1:{ports[0]}")
    client_of(f"127.0.0.1:{ports[1]}", program.popen).close()
    environ = cgi_params("GET", "http://localhost/hello/world?x=1") | {"REMOTE_PORT": "1", "wsgi.input": io.BytesIO()}
    assert SCGIApp(connect=("127.0.0.1", ports[1]))(environ, lambda *args: None) == [b"Hello world 1"]
    assert program.stop(signal.SIGTERM) == 0


def test_webpy_by_its_command_line(programs, check_behind_nginx):
    pytest.importorskip("web")
    port = find_free_port()
    program = programs(WEBPY, "fastcgi", f"127.0.0.1:{port}")
    with client_of(f"127.0.0.1:{port}", program.popen) as client:
        check(client)
    check_behind_nginx(f"127.0.0.1:{port}")
    assert program.stop(signal.SIGTERM) == 0


def test_webpy_started_by_lighttpd(programs, listener, sock_dir):
    pytest.importorskip("web")
    program = programs(WEBPY, stdin=listener, env={"PHP_FCGI_CHILDREN": "1"})
    with client_of(f"unix:{sock_dir}/listener", program.popen) as client:
        check(client)
    assert program.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("name", ["main", "fork", "pastescript"])
def test_paste(name, programs, sock_dir, check_behind_nginx):
    pytest.importorskip("paste.deploy")
    if name == "pastescript":
        pytest.importorskip("paste.script")
    programs.write("application.py", PASTE_APPLICATION)
    programs.write("app.ini", PASTE_CONFIGURATION)
    program = programs(PASTE, name)
    with client_of(f"unix:{sock_dir}/s", program.popen) as client:
        check(client)
    check_behind_nginx(f"unix:{sock_dir}/s")
    if name == "main":
        assert os.stat(f"{sock_dir}/s").st_mode & 0o777 == 0o770
    assert program.stop(signal.SIGTERM) == 0
    assert program.read() == b"over\n"


def test_paste_with_ajp_is_told_what_to_use(programs):
    pytest.importorskip("paste.deploy")
    programs.write("application.py", PASTE_APPLICATION)
    programs.write("app.ini", PASTE_CONFIGURATION)
    program = programs(PASTE, "ajp")
    assert program.wait() == 1
    assert program.errors().rstrip().rpartition("\n")[2].startswith("NotImplementedError: AJP, which is not FastCGI")
