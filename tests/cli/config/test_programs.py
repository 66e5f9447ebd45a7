"""This file has web servers read what is written for them: pages come, and no name breaks out of its quotes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from penstock.cli.config.servers import find_server
from tests.cli.config import running
from tests.conftest import leave_out, require_binary
from tests.processes import find_free_port

SERVERS = sorted(running.COMMANDS)

# A folder whose name has all that a syntax might take for its own, but for what is refused there.
HOSTILE = {
    "nginx": "a b'c\"d\\e;f{g}#h%i`j",
    "apache-proxy-fcgi": "a b'c\"d\\e;f{g}$h`j<k>",
    "apache-fcgid": "a;b{c}#d%e$f`g<h>",
    "lighttpd": "a b'c\"d;e{f}#g%h$i`j",
    "lighttpd-bin-path": "a'b\"c;d{e}#f%g$h`i",
    "caddy": "a b'c\"d\\e;f#g%h$i",
    "haproxy": "a b'c\"d\\e;f{g}#h%i`j",
    "h2o": "a b'c\"d\\e;f{g}#h%i$j`k",
}

# A package of its own on Debian.
MOD_OPENSSL = [Path(folder, "lighttpd", "mod_openssl.so") for folder in ("/usr/lib", "/usr/lib64")]


@pytest.mark.parametrize("server", SERVERS)
def test_all_that_is_in_one_folder_may_have_a_hostile_name(server, program, python, scratch, processes, free_port):
    folder = scratch / HOSTILE[server]
    running.fill(folder)
    made = running.site(server, folder, listen=f"127.0.0.1:{free_port}")
    web = running.start(processes, server, program, made, free_port, python)
    assert web.get("/x%20y") == (200, "", " /x y")
    if "static" not in find_server(server).refuses:
        assert web.get("/static/a.css") == (200, "", "body {}")


@pytest.mark.parametrize("server", SERVERS)
def test_an_application_under_a_prefix(server, program, python, scratch, processes, free_port):
    """Over TCP, and with a neighbour whose name begins the same."""
    folder = scratch / "state"
    running.fill(folder)
    (folder / "apple").write_text("a file beside")
    bind = {} if find_server(server).spawns else {"bind": f"127.0.0.1:{find_free_port()}"}
    made = running.site(server, folder, listen=f"127.0.0.1:{free_port}", mount="/app", **bind)
    web = running.start(processes, server, program, made, free_port, python)
    assert web.get("/app/x%20y") == (200, "", "/app /x y")
    assert web.get("/app/") == (200, "", "/app /")
    assert web.get("/app")[:2] == (308, "/app/")
    assert web.get("/app?a=1&b=2")[:2] == (308, "/app/?a=1&b=2")
    for outside in ("/apple", "/", "/printed.conf"):
        status, _, body = web.get(outside)
        assert status in (403, 404), outside
        assert "/app" not in body


@pytest.mark.parametrize("server", SERVERS)
def test_tls_and_names(server, program, python, scratch, processes, free_port):
    require_binary("openssl")
    if server.startswith("lighttpd") and not any(path.exists() for path in MOD_OPENSSL):
        leave_out("mod_openssl of lighttpd is not installed")
    folder = scratch / "state"
    running.fill(folder)
    cert, key = running.make_certificate(folder)
    names = {} if "server_name" in find_server(server).refuses else {"server_names": ["example.test", "*.example.test"]}
    made = running.site(server, folder, listen=f"127.0.0.1:{free_port}", tls_cert=cert, tls_key=key, **names)
    web = running.start(processes, server, program, made, free_port, python)
    assert web.get("/x", "example.test") == (200, "", " /x")


@pytest.mark.parametrize("server", ["nginx", "haproxy", "caddy"])
def test_of_two_the_one_that_is_there_answers(server, program, python, scratch, processes, free_port):
    folder = scratch / "state"
    running.fill(folder)
    upstreams = [f"127.0.0.1:{find_free_port()}", f"unix:{folder}/b.sock"]
    made = running.site(server, folder, listen=f"127.0.0.1:{free_port}", upstreams=upstreams)
    web = running.start(processes, server, program, made, free_port, python)
    web.backends[0].stop()
    assert [web.get("/x")[0] for _ in range(6)] == [200] * 6


@pytest.mark.parametrize("server", SERVERS)
def test_the_server_s_own_look_at_the_file_finds_nothing(server, program, scratch):
    folder = scratch / HOSTILE[server]
    running.fill(folder)
    made = running.site(server, folder, mount="/app")
    file = running.write(server, made)
    looked = subprocess.run(
        running.command(program, running.CHECKS[server], file), capture_output=True, text=True, check=False
    )
    assert looked.returncode == 0, looked.stderr
    if server != "caddy":  # it warns that it does no HTTPS, and `caddy fmt` does not understand hostile quotes
        assert "warn" not in looked.stderr.lower()
