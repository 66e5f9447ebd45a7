"""This file tests `penstock serve` as a program: what it says at start, how it ends, and what each wrong input gets."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys

import pytest

from penstock import __version__
from penstock.client import Client
from tests.cli.conftest import HELLO

BROKEN = """\
import nothing_of_this_name
"""
ASGI = """\
class Framework:
    async def __call__(self, scope, receive, send):
        pass
app = Framework()
"""
SLOW_IMPORT = """\
import sys
sys.stderr.write("importing\\n")
sys.stderr.flush()
import threading
threading.Event().wait()
"""


def test_it_says_what_is_served_and_where(serve, blog):
    process, address = serve("--threads", "3")
    process.wait_for(rf"penstock {re.escape(__version__)} serves blog:app with 3 threads, process {process.pid}$")
    assert address == f"unix:{blog}/app.sock"
    assert process.stdout == []
    assert "nginx" not in process.output()


def test_without_an_address_it_listens_in_the_current_folder_and_says_what_nginx_needs(processes, blog):
    process = processes.penstock("serve", "blog:app", cwd=blog)
    process.wait_for(r"for nginx:  include fastcgi_params;$")
    process.wait_for(rf"fastcgi_pass unix:{blog}/penstock\.sock;$")
    with Client(f"unix:{blog}/penstock.sock") as client:
        assert client.request("GET", "/x").body == b"hello from /x"
    assert process.stop() == 0


def test_it_serves_at_every_address_and_gives_each_as_it_is(processes, blog):
    process = processes.penstock("serve", "blog", "--bind", f"unix:{blog}/a", "--bind", "127.0.0.1:0", cwd=blog)
    for number in (1, 2):
        with Client(process.wait_for(r"listening on (\S+)", count=number)[1]) as client:
            assert client.request("GET", "/").status == 200


def test_the_access_log_is_standard_output_and_can_be_json_or_nothing(serve, penstock, blog):
    process, address = serve()
    penstock("request", address, "/one")
    process.wait_for(r'"GET /one" 200 ')
    assert any("/one" in line for line in process.stdout)
    process, address = serve("--access-log-format", "json", bind=f"unix:{blog}/json")
    penstock("request", address, "/two")
    process.wait_for(r'^\{.*"uri": "/two".*\}$')
    process, address = serve("--no-access-log", bind=f"unix:{blog}/none")
    penstock("request", address, "/three")
    assert process.stop() == 0
    assert process.stdout == []


def test_at_level_debug_it_shows_every_record_and_at_level_error_nothing(serve, penstock, processes, blog):
    process, address = serve("--log-level", "debug")
    penstock("request", address, "/")
    for record in (r"< BEGIN_REQUEST", r"< PARAMS", r"< STDIN", r"> STDOUT", r"> END_REQUEST"):
        process.wait_for(record)
    (blog / "loud.py").write_text(f"{HELLO}import sys\nsys.stderr.write('imported\\n')\n")
    silent = processes.penstock("serve", "loud", "--bind", "127.0.0.1:0", "--log-level", "error", cwd=blog)
    silent.wait_for("imported")
    assert silent.stop() == 0
    assert silent.stderr == ["imported"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_signal_ends_it_with_0_and_no_socket_stays(serve, blog, number):
    process, _ = serve()
    assert process.stop(number) == 0
    assert not (blog / "app.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_signal_is_a_success_also_while_the_application_is_imported(processes, blog, number):
    (blog / "slow.py").write_text(SLOW_IMPORT)
    process = processes.penstock("serve", "slow", "--bind", f"unix:{blog}/app.sock", cwd=blog)
    process.wait_for("importing")
    assert process.stop(number) == 0
    assert process.stderr == ["importing"]
    assert not (blog / "app.sock").exists()


def test_a_second_signal_does_not_wait_for_the_application_s_own_end(processes, blog):
    (blog / "tidy.py").write_text(
        HELLO + "import atexit, sys, threading\n"
        "def tidy():\n    sys.stderr.write('tidying\\n')\n    sys.stderr.flush()\n    threading.Event().wait()\n"
        "atexit.register(tidy)\n"
    )
    process = processes.penstock("serve", "tidy", "--bind", f"unix:{blog}/app.sock", cwd=blog)
    process.wait_for("listening on")
    process.send_signal(signal.SIGTERM)
    process.wait_for("tidying")
    assert process.stop(signal.SIGTERM) == 0


def test_a_folder_that_is_missing_is_4_and_named_with_its_mend(penstock, blog):
    ended = penstock("serve", "blog:app", "--bind", f"unix:{blog}/no/app.sock")
    assert ended.returncode == 4
    assert ended.stderr.decode() == (
        f"penstock serve: cannot listen on unix:{blog}/no/app.sock: there is no directory {blog}/no;"
        f" make it (mkdir -p {blog}/no) or choose another\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/sys is Linux's; nobody may make a file there, not even root")
def test_a_folder_that_may_not_be_written_is_4_and_one_sentence(penstock):
    ended = penstock("serve", "blog:app", "--bind", "unix:/sys/app.sock")
    assert ended.returncode == 4
    assert re.fullmatch(
        r"penstock serve: cannot listen on unix:/sys/app\.sock: user \S+ may not write in /sys; .*\n",
        ended.stderr.decode(),
    )


def test_an_address_in_use_by_a_live_server_is_4_and_that_server_goes_on(serve, penstock):
    process, address = serve()
    ended = penstock("serve", "blog:app", "--bind", address)
    assert ended.returncode == 4
    message = rf"penstock serve: cannot listen on {address}: a live server \(pid {process.pid}\) listens there; .*\n"
    assert re.fullmatch(message, ended.stderr.decode())
    assert penstock("request", address, "/").stdout == b"hello from /"


def test_a_port_in_use_is_4_and_one_sentence(penstock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = penstock("serve", "blog:app", "--bind", address)
    assert ended.returncode == 4
    assert re.fullmatch(rf"penstock serve: cannot listen on {address}: .* in use .*\n", ended.stderr.decode())


def test_a_path_over_107_bytes_is_4_and_says_how_long_it_is(penstock, blog):
    path = f"{blog}/{'x' * 108}"
    ended = penstock("serve", "blog:app", "--bind", f"unix:{path}")
    assert ended.returncode == 4
    assert f"the path has {len(path)} bytes and 107 fit" in ended.stderr.decode()
    assert ended.stderr.count(b"\n") == 1


def test_a_file_that_is_no_socket_is_4_and_stays(penstock, blog):
    before = (blog / "blog.py").read_bytes()
    ended = penstock("serve", "blog:app", "--bind", f"unix:{blog}/blog.py")
    assert ended.returncode == 4
    assert f"cannot listen on unix:{blog}/blog.py: a file that is no socket is there" in ended.stderr.decode()
    assert ended.stderr.count(b"\n") == 1
    assert (blog / "blog.py").read_bytes() == before


def test_a_stale_socket_is_no_obstacle(penstock, serve, blog):
    process, address = serve()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (blog / "app.sock").exists()
    serve()
    assert penstock("request", address, "/").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bind", "9000"], "--bind: '9000' is no address to listen at"),
        (["--bind", "0.0.0.0:0"], "refusing to listen on 0.0.0.0:0: everyone who reaches it"),
        (["--allow", "nginx"], "--allow: 'nginx' is neither an IP address nor a network"),
        (["--socket-mode", "999"], "--socket-mode: '999' is no mode"),
        (["--threads", "0"], "--threads: '0' is no number from 1"),
        (["--max-body", "much"], "--max-body: 'much' is no size"),
        (["--io-timeout", "soon"], "--io-timeout: 'soon' is no duration"),
        (["--roles", "responder,proxy"], "--roles: 'proxy' is no role; there are responder, authorizer, filter"),
        (["--mount", "app"], "--mount: a mount is a path such as /app"),
        (["--access-log-format", "xml"], "--access-log-format: 'xml' is none of text, json"),
        (["--log-level", "loud"], "--log-level: 'loud' is none of debug, info, warning, error"),
    ],
)
def test_a_value_that_is_written_wrong_is_2_and_a_sentence_that_names_its_option(penstock, arguments, message):
    ended = penstock("serve", "blog:app", *arguments)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(f"penstock serve: {message}")
    assert ended.stderr.decode().endswith("\npenstock serve --help says more\n")
    assert ended.stderr.count(b"\n") == 2


@pytest.mark.parametrize(
    ("app", "hint"),
    [
        ("blog:ap", "did you mean blog:app?"),
        ("blgo:app", "did you mean blog:app?"),
        ("blog/app.py", "did you mean"),
        ("blg.py", "did you mean blog.py?"),
        (":app", "write module:attribute, such as blog:app"),
    ],
)
def test_an_application_that_is_not_there_is_3_with_what_was_meant_and_no_traceback(penstock, app, hint):
    ended = penstock("serve", app, "--bind", "127.0.0.1:0")
    assert ended.returncode == 3
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 2
    assert hint in lines[1] or "there is no folder" in lines[1]


def test_an_application_that_fails_to_import_is_3_with_its_own_frames_alone(penstock, blog):
    (blog / "broken.py").write_text(BROKEN)
    ended = penstock("serve", "broken:app", "--bind", f"unix:{blog}/app.sock")
    assert ended.returncode == 3
    said = ended.stderr.decode()
    assert re.findall(r'File "([^"]+)"', said) == [f"{blog}/broken.py"]
    assert "ModuleNotFoundError: No module named 'nothing_of_this_name'" in said
    assert said.splitlines()[-2].startswith("broken cannot be imported: it imports 'nothing_of_this_name'")
    assert not (blog / "app.sock").exists()


def test_an_asgi_application_that_cannot_start_is_3_with_its_reason(penstock, blog):
    (blog / "asgi.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )
    ended = penstock("serve", "asgi:app", "--bind", "127.0.0.1:0")
    assert ended.returncode == 3
    assert "asgi:app did not start: no database" in ended.stderr.decode()


def test_what_is_written_wrong_is_found_before_the_application_and_that_before_the_address(penstock, blog):
    nowhere = f"unix:{blog}/no/app.sock"
    assert penstock("serve", "missing", "--bind", nowhere, "--threads", "0").returncode == 2
    assert penstock("serve", "missing", "--bind", nowhere).returncode == 3
    assert penstock("serve", "blog", "--bind", nowhere).returncode == 4


def test_the_mode_of_the_socket_is_the_one_asked_for(serve, blog):
    serve("--socket-mode", "0600")
    assert os.stat(blog / "app.sock").st_mode & 0o777 == 0o600


def test_the_mount_splits_the_path(serve, penstock):
    _, address = serve("--mount", "/app")
    assert penstock("request", address, "/app/page").stdout == b"hello from /page"


def test_a_body_over_the_limit_is_413(serve, penstock):
    _, address = serve("--max-body", "1k")
    assert penstock("request", address, "/", "-i", "-d", "x" * 1024).stdout.startswith(b"Status: 200 ")
    assert penstock("request", address, "/", "-i", "-d", "x" * 1025).stdout.startswith(b"Status: 413 ")


def test_an_authorizer_is_served_where_it_is_asked_for(serve, penstock, blog):
    _, address = serve("--roles", "responder,authorizer")
    assert penstock("request", address, "/", "--role", "authorizer", "-i").stdout.startswith(b"Status: 200 OK\n")
