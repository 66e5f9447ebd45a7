"""This file holds the texts of `penstock config` to what each web server is known to need."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

import penstock.cli.config.text
from penstock.cli.config.servers import ALIASES, SERVERS
from penstock.cli.config.site import Site
from penstock.cli.config.text import config_text
from penstock.server.serving import serve

TEMPLATES = Path(penstock.cli.config.text.__file__).with_name("templates")
IO_TIMEOUT = round((serve.__kwdefaults__ or {})["io_timeout"])
WEB = [name for name, row in SERVERS.items() if "listen" not in row.refuses]
CONNECTING = [name for name in WEB if "bind" not in SERVERS[name].refuses and name != "lighttpd-bin-path"]
APP = "/srv/blog/app.fcgi"


def text(server: str, **options: object) -> str:
    return config_text(server, Site(**({"app": APP} | options)))  # type: ignore[arg-type]


def lines(server: str, **options: object) -> list[str]:
    """What is no comment."""
    return [line.strip() for line in text(server, **options).splitlines() if line.strip()[:1] not in ("", "#", ";")]


def test_each_row_has_a_template_and_each_template_a_row():
    assert {path.stem for path in TEMPLATES.glob("[!_]*.j2")} == set(SERVERS)
    assert set(ALIASES.values()) <= set(SERVERS)
    assert not set(ALIASES) & set(SERVERS)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("mount", ["", "/app"])
def test_a_text_is_tidy(server, mount):
    for full in {False, "full" not in SERVERS[server].refuses}:
        written = text(server, mount=mount, full=full)
        assert written.endswith("\n")
        assert "\n\n\n" not in written
        assert not [line for line in written.splitlines() if line != line.rstrip() or len(line) > 250]
        assert APP in written or SERVERS[server].spawns


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_reaches_a_text_without_a_filter(server):
    """The guard that makes this hold is tried here; that templates live with it is what all other tests show."""
    environment: Environment = penstock.cli.config.text._environment(server)
    with pytest.raises(TypeError, match="would be printed without being quoted"):
        environment.from_string("{{ value }}").render(value="/srv")


@pytest.mark.parametrize("server", CONNECTING)
def test_the_matching_command_stands_on_top(server):
    written = text(server, mount="/app", bind="unix:/run/b l/a.sock", user="www")
    first = next(line for line in written.splitlines() if line.startswith("#   "))
    assert first == f"#   penstock serve {APP} --bind 'unix:/run/b l/a.sock' --mount /app --socket-group www"
    assert f"#   penstock serve {APP} --bind 127.0.0.1:9000\n" in text(server, bind="127.0.0.1:9000")


@pytest.mark.parametrize("server", CONNECTING)
def test_a_socket_says_who_may_connect_and_a_port_who_is_allowed(server):
    assert "--socket-group" in text(server, bind="unix:/run/a.sock")
    assert "--socket-group names a common group" in text(server, bind="unix:/run/a.sock", user="")
    assert "--allow" not in text(server, bind="localhost:9000")
    assert "--allow ADDRESS-OF-THIS-WEB-SERVER" in text(server, bind="10.0.0.7:9000")


@pytest.mark.parametrize("server", [name for name in WEB if name != "apache-fcgid"])
def test_a_prefix_does_not_catch_its_neighbours(server):
    """What is written of /app ends at a slash, or at the end of the path."""
    for line in lines(server, mount="/app", bind="unix:/run/a.sock", static=[]):
        for after in re.findall(r"/app(?!\.fcgi)(.?)", line):
            assert after in '/ "$;)(|{}:' or after == "", line


@pytest.mark.parametrize("server", WEB)
def test_an_address_without_its_slash_is_redirected_with_its_method(server):
    assert [line for line in lines(server, mount="/app") if "308" in line]
    assert not [line for line in lines(server) if "308" in line]


# SERVER -> what it was found to need: kept connections, clean variables, streaming, bounds and deadlines as ours.
NEEDED = {
    "nginx": [
        "keepalive 16;",
        "fastcgi_keep_conn on;",
        'fastcgi_param HTTP_PROXY        "";',
        'fastcgi_param REMOTE_USER       "";',
        "client_max_body_size 1g;",
        "fastcgi_buffer_size 16k;",
        f"fastcgi_read_timeout {IO_TIMEOUT}s;",
    ],
    "apache-proxy-fcgi": [
        'SetEnvIf Request_URI "^" proxy-fcgi-pathinfo=unescape',
        "SetEnv proxy-sendcl 1",
        "SetEnv ap_trust_cgilike_cl 1",
        "CGIPassAuth On",
        "enablereuse=on",
        "flushpackets=on",
        "retry=0",
        f"timeout={IO_TIMEOUT}",
    ],
    "apache-fcgid": [
        "FcgidMaxRequestLen 1073741824",
        "FcgidOutputBufferSize 0",
        f"FcgidIOTimeout {IO_TIMEOUT}",
        "CGIPassAuth On",
        "--no-access-log",
    ],
    "apache-fcgid-htaccess": ["CGIPassAuth On", "RewriteRule ^(.*)$ app.fcgi/$1 [QSA,L]"],
    "apache-fastcgi": ["-pass-header Authorization", "-flush", f"-idle-timeout {IO_TIMEOUT}"],
    "lighttpd": ["server.stream-response-body = 2", '"fix-root-scriptname" => "enable"', '"check-local" => "disable"'],
    "lighttpd-bin-path": ['"bin-path" =>', '"kill-signal" => 15', '"bin-copy-environment" =>', "--no-access-log"],
    "caddy": ["header_up -Proxy", "flush_interval -1", f"read_timeout {IO_TIMEOUT}s", "capture_stderr"],
    "haproxy": ["path-info ^()(/.*)$", "pass-header authorization", "set-param REMOTE_USER", "del-header Proxy"],
    "h2o": ['HTTP_PROXY: ""', "fastcgi.timeout.keepalive: 0", f"fastcgi.timeout.io: {IO_TIMEOUT * 1000}"],
    "openbsd-httpd": ['param HTTP_PROXY ""', "connection max request body 1073741824"],
    "systemd": ["Type=notify", "SocketMode=0660", "NoNewPrivileges=yes", "ProtectSystem=strict", "TimeoutStopSec=35"],
    "supervisor": ["[fcgi-program:penstock-blog]", "socket_mode=0660", "stopsignal=TERM", "user=www-data"],
    "spawn-fcgi": ["-M 0660", "/usr/bin/multiwatch -f 2"],
}


@pytest.mark.parametrize("server", SERVERS)
def test_each_text_has_what_its_server_needs(server):
    written = "\n".join(lines(server))
    assert [word for word in NEEDED[server] if word not in written] == []


def test_nginx_sets_its_parameters_after_the_include():
    found = lines("nginx", mount="/app")
    include = found.index("include fastcgi_params;")
    after = {line.split()[1] for line in found[include:] if line.startswith("fastcgi_param ")}
    assert after >= {"SCRIPT_NAME", "PATH_INFO", "HTTP_PROXY", "REMOTE_USER"}


@pytest.mark.parametrize("server", [name for name in WEB if "full" not in SERVERS[name].refuses])
def test_a_whole_file_keeps_everything_in_the_state_directory(server, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/python")
    written = lines(server, full=True, state_dir="/state", user="")
    assert [line for line in written if "/state/" in line]
    places = {place for line in written for place in re.findall(r"(?<![\w./])/(?:var|run|tmp|etc)/[\w./-]*", line)}
    assert places == set()


@pytest.mark.parametrize("server", ["nginx", "haproxy", "caddy"])
def test_several_are_balanced_and_what_changes_something_is_sent_once(server):
    several = lines(server, upstreams=["10.0.0.1:9000", "10.0.0.2:9000", "unix:/run/a.sock"])
    assert {name for name in ("10.0.0.1:9000", "10.0.0.2:9000", "/run/a.sock") if name in " ".join(several)} == {
        "10.0.0.1:9000",
        "10.0.0.2:9000",
        "/run/a.sock",
    }
    extra = set(several) - set(lines(server, bind="10.0.0.1:9000"))
    assert [line for line in extra if re.search(r"least_?conn", line)]
    assert [line for line in extra if re.search("max_fails|check", line)]
    assert not [line for line in several if "non_idempotent" in line]
    assert text(server, upstreams=["10.0.0.1:9000", "10.0.0.2:9000"]).count("#   penstock serve ") == 2


@pytest.mark.parametrize("server", SERVERS)
@given(name=st.text("ab \"'\\\\$%{}#;`|<>&*?[]()!~=@^:/\u00e9", min_size=1, max_size=8))
def test_a_hostile_name_adds_no_line_and_begins_none(server, name):
    """Each word that stands outside of quotes where a line begins is the template's own."""

    def first_words(part: str) -> list[str]:
        folder = f"/srv/{part}"
        refused = SERVERS[server].refuses
        options = {
            "app": f"{folder}/x.fcgi",
            "bind": "" if "bind" in refused else f"unix:{folder}/s",
            "static": [] if "static" in refused else [("/static", folder)],
            "state_dir": folder,
            "full": "full" not in refused,
        }
        return [re.split(r"[\s=]", line.strip())[0] for line in text(server, **options).splitlines()]

    try:
        found = first_words(name)
    except ValueError:  # refused, which test_quoting.py looks at
        return
    assert found == first_words("plain")
