"""This file tests jonpy programs as plain CGI and in a shell, as real processes."""

from __future__ import annotations

import gzip

import pytest

from tests.compat.jon.programs import SCRIPTS
from tests.homes.children import cgi_environ

HANDLER = """
import sys
class Handler(cgi.DebugHandler):
    def process(self, req):
        print("printed")
        print("printed to stderr", file=sys.stderr)
        req.set_header("Content-Type", "text/plain")
        for name in sorted(req.params):
            value = req.params[name]
            req.write("%s=%s\\n" % (name, value))
        for name in ("PATH_INFO", "SITE_MOTTO", "HTTP_PROXY", "FCGI_ROLE"):
            req.write("%s is %s\\n" % (name, req.environ.get(name)))
"""
PLAIN = f"{HANDLER}cgi.CGIRequest(Handler).process()\nprint('and on')\nsys.stderr.write('to the end\\n')\n"


def split(output: bytes) -> tuple[dict[str, str], bytes]:
    head, mark, body = output.partition(b"\r\n\r\n")
    assert mark, output
    return dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")), body


@pytest.mark.parametrize("body", [b"", None], ids=["pipe", "/dev/null"])
def test_the_hello_script_falls_back_to_plain_cgi(programs, body):
    done = programs.cgi(SCRIPTS / "hello.fcgi", cgi_environ(Query_String="who=Jos%C3%A9"), body)
    head, page = split(done.stdout)
    assert page == "Good day, José.\n".encode()
    assert head == {"Content-Type": "text/plain", "Content-Length": "17", "Status": "200 OK"}
    assert (done.returncode, done.stderr) == (0, b"")


def test_its_gzip_variant_stays_compressed(programs):
    env = cgi_environ(Query_String="lines=900", Http_Accept_Encoding="gzip")
    head, page = split(programs.cgi(SCRIPTS / "hello_gzip.fcgi", env).stdout)
    assert head["Content-Encoding"] == "gzip"
    assert gzip.decompress(page).endswith(b"Line 899\n")


def test_a_body_is_bytes_whatever_the_locale(programs):
    env = cgi_environ(method="POST", Content_Length="8", Content_Type="x", Lc_All="C")
    _, page = split(programs.cgi(SCRIPTS / "hello.fcgi", env, b"who=\xe9\xff\r\nnot of the body").stdout)
    assert page == b"Good day, \xe9\xff\r\n.\n"


def test_a_body_that_ends_too_early_is_a_400_and_no_traceback(programs):
    env = cgi_environ(method="POST", Content_Length="100")
    done = programs.cgi(SCRIPTS / "hello.fcgi", env, b"who=Ad")
    assert split(done.stdout)[0]["Status"] == "400 Bad Request"
    assert b"6 bytes" in done.stderr
    assert b"Traceback" not in done.stderr


def test_cgi_request_answers_and_the_program_goes_on(programs):
    env = cgi_environ("/pé", Query_String="a=1", Site_Motto="façade", Http_Proxy="evil")
    done = programs.cgi(PLAIN, env)
    head, page = split(done.stdout)
    assert page.decode().splitlines() == [
        "a=1",
        "PATH_INFO is /pé",
        "SITE_MOTTO is façade",
        "HTTP_PROXY is None",
        "FCGI_ROLE is RESPONDER",
    ]
    assert head["Status"] == "200 OK"
    assert done.returncode == 0
    for said in (b"printed\n", b"printed to stderr\n", b"and on\n", b"to the end\n"):
        assert said in done.stderr


def test_an_exception_is_a_page_and_a_log_entry_on_standard_error(programs):
    text = """
class Handler(cgi.Handler):
    def process(self, req):
        raise LookupError("on purpose")
cgi.GZipCGIRequest(Handler).process()
"""
    done = programs.cgi(text, cgi_environ())
    head, page = split(done.stdout)
    assert head["Status"] == "500 Internal Server Error"
    assert b"on purpose" not in page
    assert b"LookupError: on purpose" in done.stderr


def test_a_program_without_a_responder_says_so(programs):
    text = "fcgi.Server({fcgi.FCGI_AUTHORIZER: cgi.Handler}).run()\n"
    done = programs.cgi(text, cgi_environ())
    assert split(done.stdout)[0]["Status"] == "500 Internal Server Error"
    assert b"no handler for FCGI_RESPONDER" in done.stderr


def test_set_logging_is_obeyed_there_too(programs):
    path = programs.folder / "jon.log"
    text = f"""
class Handler(cgi.Handler):
    def process(self, req):
        req.error("a note")
fcgi.set_logging(1, {str(path)!r})
fcgi.Server({{1: Handler}}).run()
"""
    assert programs.cgi(text, cgi_environ()).stdout.endswith(b"\r\n\r\n")
    assert [line.split(None, 2)[2] for line in path.read_text().splitlines()] == [
        "INFO no listening socket: plain CGI",
        "ERROR a note",
    ]


def test_typed_in_a_shell_it_shows_get_and_the_next_step(programs):
    done = programs.cgi(SCRIPTS / "hello.fcgi", {}, None)
    text = done.stdout.decode()
    assert "200 OK" in text
    assert "Good day, everybody." in text
    assert "hello.fcgi" in text
    assert done.returncode == 0


def test_cgi_request_on_a_listening_socket_gets_a_sentence(programs, tcp):
    program = programs.serve(PLAIN, tcp)
    assert program.wait() == 1
    assert "this process was given a listening socket; jon.fcgi.Server serves that" in program.errors()


def test_plain_cgi_loads_no_server(programs):
    text = """
import sys
class Handler(cgi.Handler):
    def process(self, req):
        req.write(" ".join(sorted(name for name in sys.modules if name.startswith("penstock."))))
fcgi.Server({1: Handler}).run()
"""
    _, page = split(programs.cgi(text, cgi_environ()).stdout)
    loaded = page.decode().split()
    assert "penstock.gateways.cgi" in loaded
    assert not {"penstock.server.threads", "penstock.server.exchange", "penstock.gateways.uploads"} & set(loaded)
