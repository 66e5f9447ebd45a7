"""This file tests that flup's names are there, take what flup takes, and say so where they cannot be used."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from penstock.compat.flup.server import fcgi, fcgi_base, fcgi_fork, fcgi_single, scgi, scgi_fork
from penstock.compat.flup.server.threadpool import ThreadPool
from tests.compat.flup.live import hello

ROOM = "penstock.compat.flup"

# As flup 1.0.3 has them; ** stands for whatever it is called.
SIGNATURES = {
    "server.fcgi:WSGIServer": "application, environ=None, multithreaded=True, multiprocess=False, bindAddress=None,"
    " umask=None, multiplexed=False, debug=False, roles=(1,), forceCGI=False, **kw",
    "server.fcgi_fork:WSGIServer": "application, environ=None, bindAddress=None, umask=None, multiplexed=False,"
    " debug=False, roles=(1,), forceCGI=False, timeout=None, **kw",
    "server.fcgi_single:WSGIServer": "application, environ=None, bindAddress=None, umask=None, multiplexed=False,"
    " debug=False, roles=(1,), forceCGI=False, **kw",
    "server.fcgi_base:BaseFCGIServer": "application, environ=None, multithreaded=True, multiprocess=False,"
    " bindAddress=None, umask=None, multiplexed=False, debug=False, roles=(1,), forceCGI=False",
    "server.scgi:WSGIServer": "application, scriptName=NoDefault, environ=None, multithreaded=True,"
    " multiprocess=False, bindAddress=('localhost', 4000), umask=None, allowedServers=None, loggingLevel=20,"
    " debug=False, **kw",
    "server.scgi_fork:WSGIServer": "application, scriptName=NoDefault, environ=None,"
    " bindAddress=('localhost', 4000), umask=None, allowedServers=None, loggingLevel=20, debug=False, timeout=None,"
    " **kw",
    "server.preforkserver:PreforkServer": "minSpare=1, maxSpare=5, maxChildren=50, maxRequests=0, sockTimeout=0,"
    " jobClass=None, jobArgs=()",
    "server.threadedserver:ThreadedServer": "jobClass=None, jobArgs=(), **kw",
    "server.singleserver:SingleServer": "jobClass=None, jobArgs=(), **kw",
    "client.fcgi_app:FCGIApp": "command=None, connect=None, host=None, port=None, filterEnviron=True",
    "client.scgi_app:SCGIApp": "connect=None, host=None, port=None, filterEnviron=True",
    "middleware.gzip:GzipMiddleware": "application, mime_types=None, compress_level=9",
    "middleware.error:ErrorMiddleware": "application, adminAddress, fromAddress='wsgiapp', smtpHost='localhost',"
    " applicationName=None, errorPageMimeType='text/html', errorPage=None, errorPageFile='error.html',"
    " emailInterval=15, intervalCheckFile='errorEmailCheck', debug=False",
    "server.paste_factory:run_fcgi_thread": "wsgi_app, global_conf, host=None, port=None, socket=None, umask=None,"
    " multiplexed=False, debug=NoDefault, minSpare=None, maxSpare=None, maxThreads=None",
    "server.paste_factory:run_fcgi_fork": "wsgi_app, global_conf, host=None, port=None, socket=None, umask=None,"
    " multiplexed=False, debug=NoDefault, minSpare=None, maxSpare=None, maxChildren=None, maxRequests=None",
}

MODULES = """
server.fcgi server.fcgi_base server.fcgi_fork server.fcgi_single server.scgi server.scgi_base server.scgi_fork
server.ajp server.ajp_base server.ajp_fork server.cgi server.threadedserver server.threadpool
server.preforkserver server.singleserver server.paste_factory client.fcgi_app client.scgi_app middleware.gzip
middleware.error middleware.session
"""
NAMES_OF_FCGI_BASE = """
FCGI_LISTENSOCK_FILENO FCGI_HEADER_LEN FCGI_VERSION_1 FCGI_BEGIN_REQUEST FCGI_ABORT_REQUEST FCGI_END_REQUEST
FCGI_PARAMS FCGI_STDIN FCGI_STDOUT FCGI_STDERR FCGI_DATA FCGI_GET_VALUES FCGI_GET_VALUES_RESULT
FCGI_UNKNOWN_TYPE FCGI_MAXTYPE FCGI_NULL_REQUEST_ID FCGI_KEEP_CONN FCGI_RESPONDER FCGI_AUTHORIZER FCGI_FILTER
FCGI_REQUEST_COMPLETE FCGI_CANT_MPX_CONN FCGI_OVERLOADED FCGI_UNKNOWN_ROLE FCGI_MAX_CONNS FCGI_MAX_REQS
FCGI_MPXS_CONNS FCGI_Header FCGI_BeginRequestBody FCGI_EndRequestBody FCGI_UnknownTypeBody
FCGI_EndRequestBody_LEN FCGI_UnknownTypeBody_LEN DEBUG DEBUGLOG _debug InputStream MultiplexedInputStream
OutputStream TeeOutputStream StdoutWrapper decode_pair encode_pair Record TimeoutException Request CGIRequest
Connection MultiplexedConnection BaseFCGIServer
"""


def get(place: str):
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(f"{ROOM}.{module}"), name)


@pytest.mark.parametrize("place", SIGNATURES)
def test_the_signature_is_flups_own(place):
    parameters = []
    for parameter in inspect.signature(get(place)).parameters.values():
        text = re.sub(r"<class '[\w.]*\.(\w+)'>", r"\1", str(parameter.replace(annotation=inspect.Parameter.empty)))
        parameters.append(text)
    assert ", ".join(parameters) == SIGNATURES[place]


@pytest.mark.parametrize("name", MODULES.split())
def test_every_module_of_flup_can_be_imported(name):
    importlib.import_module(f"{ROOM}.{name}")


@pytest.mark.parametrize("name", NAMES_OF_FCGI_BASE.split())
def test_what_programs_import_from_fcgi_base_is_there(name):
    assert hasattr(fcgi_base, name)


@pytest.mark.parametrize(
    ("place", "arguments", "mend"),
    [
        ("server.ajp:WSGIServer", (hello,), "AJP, which is not FastCGI.*mod_proxy_fcgi"),
        ("server.ajp_fork:WSGIServer", (hello,), "AJP, which is not FastCGI"),
        ("server.ajp_base:BaseAJPServer", (hello,), "AJP, which is not FastCGI"),
        ("server.paste_factory:run_ajp_thread", (hello, {}), "AJP"),
        ("server.paste_factory:run_ajp_fork", (hello, {}), "AJP"),
        ("server.fcgi_base:Connection", (None, None, None), r"override handler\(\)"),
        ("server.fcgi_base:MultiplexedConnection", (None, None, None), r"override handler\(\)"),
        ("server.scgi_base:Connection", (None, None, None), r"override handler\(\)"),
        ("server.fcgi_base:InputStream", (None,), "binary files"),
        ("middleware.session:SessionMiddleware", (None, hello), "your framework's sessions"),
        ("middleware.session:MemorySessionStore", (), "your framework's sessions"),
    ],
)
def test_what_is_not_offered_says_so_in_one_sentence_on_use(place, arguments, mend):
    with pytest.raises(NotImplementedError, match=mend) as caught:
        get(place)(*arguments)
    assert "\n" not in str(caught.value)


def test_a_foreign_job_class_is_refused_in_one_sentence():
    server = get("server.threadedserver:ThreadedServer")(jobClass=object)
    with pytest.raises(NotImplementedError, match="jobClass"):
        server.run(None)
    with pytest.raises(NotImplementedError, match="ThreadPoolExecutor"):
        ThreadPool().addJob(None)


def test_an_option_that_flup_does_not_have_is_no_option_here_either():
    with pytest.raises(TypeError, match="maxChildren"):
        fcgi.WSGIServer(hello, maxChildren=3)
    with pytest.raises(TypeError, match="maxThreads"):
        fcgi_fork.WSGIServer(hello, maxThreads=3)


def test_options_that_flup_lets_pass_are_let_pass():
    fcgi.WSGIServer(hello, jobClass=None, jobArgs=())
    fcgi_fork.WSGIServer(hello, multithreaded=True, multiprocess=False, jobClass=None, jobArgs=())
    fcgi_single.WSGIServer(hello, maxThreads=3, whatever=1)
    scgi_fork.WSGIServer(hello, multithreaded=True)


@pytest.mark.parametrize("module", [fcgi_fork, scgi_fork])
def test_a_pool_of_processes_has_sensible_bounds(module):
    with pytest.raises(ValueError, match="minSpare is 0"):
        module.WSGIServer(hello, minSpare=0)
    with pytest.raises(ValueError, match="maxSpare is 2, below minSpare"):
        module.WSGIServer(hello, minSpare=3, maxSpare=2)


def test_threads_are_as_many_as_the_option_says_or_else_a_fixed_number():
    assert fcgi.WSGIServer(hello, maxThreads=3)._threads() == 3
    assert fcgi.WSGIServer(hello, minSpare=0, maxSpare=1, maxThreads=2)._threads() == 2
    assert fcgi.WSGIServer(hello, maxThreads=500)._threads() == 500
    assert fcgi.WSGIServer(hello)._threads() == 32
    assert fcgi.WSGIServer(hello, minSpare=0, maxThreads=0)._threads() == 1
    assert fcgi_single.WSGIServer(hello)._threads() == 1
    assert fcgi_fork.WSGIServer(hello)._threads() == 1
    assert scgi.WSGIServer(hello, maxThreads=7)._threads() == 7


def test_setting_the_debug_switches_of_flup_does_no_harm():
    fcgi_base.DEBUG = 10
    try:
        fcgi_base._debug(1, "a line")
        assert fcgi.WSGIServer(hello).capability["FCGI_MPXS_CONNS"] == 0
        assert fcgi.WSGIServer(hello, multiplexed=True).capability["FCGI_MPXS_CONNS"] == 1
    finally:
        fcgi_base.DEBUG = 0
