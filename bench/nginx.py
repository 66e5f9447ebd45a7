"""The one nginx in front of all peers: its configuration, its start and its end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from bench import measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.peers import Peer

# The list every distribution ships as fastcgi_params, with the path where it belongs.
PARAMS = """
      fastcgi_param QUERY_STRING      $query_string;
      fastcgi_param REQUEST_METHOD    $request_method;
      fastcgi_param CONTENT_TYPE      $content_type;
      fastcgi_param CONTENT_LENGTH    $content_length;
      fastcgi_param SCRIPT_FILENAME   $document_root$fastcgi_script_name;
      fastcgi_param SCRIPT_NAME       "";
      fastcgi_param PATH_INFO         $fastcgi_script_name;
      fastcgi_param REQUEST_URI       $request_uri;
      fastcgi_param DOCUMENT_URI      $document_uri;
      fastcgi_param DOCUMENT_ROOT     $document_root;
      fastcgi_param SERVER_PROTOCOL   $server_protocol;
      fastcgi_param REQUEST_SCHEME    $scheme;
      fastcgi_param GATEWAY_INTERFACE CGI/1.1;
      fastcgi_param SERVER_SOFTWARE   nginx/$nginx_version;
      fastcgi_param REMOTE_ADDR       $remote_addr;
      fastcgi_param REMOTE_PORT       $remote_port;
      fastcgi_param SERVER_ADDR       $server_addr;
      fastcgi_param SERVER_PORT       $server_port;
      fastcgi_param SERVER_NAME       $server_name;
"""
UWSGI_PARAMS = PARAMS.replace("fastcgi_param", "uwsgi_param").replace("$fastcgi_script_name", "$document_uri")
PROXY_HEADERS = """
      proxy_http_version 1.1;
      proxy_set_header Connection        "";
      proxy_set_header Host              $host;
      proxy_set_header X-Real-IP         $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
"""


class NginxError(Exception):
    """nginx is missing or does not start; the message says which."""


def _location(peer: Peer, socket_path: str) -> str:
    if peer.protocol == "fastcgi":
        params = PARAMS
        if peer.script:
            script = os.path.join(os.path.dirname(socket_path), peer.script)
            params = params.replace("$document_root$fastcgi_script_name", script)
        return f"{params}      fastcgi_keep_conn {'on' if peer.keep else 'off'};\n      fastcgi_pass {peer.name};"
    if peer.protocol == "uwsgi":
        return f"{UWSGI_PARAMS}      uwsgi_pass {peer.name};"
    return f"{PROXY_HEADERS}      proxy_pass http://{peer.name};"


def _server(peer: Peer, port: int, socket_path: str) -> str:
    keepalive = "keepalive 64;" if peer.keep else ""
    return f"""
  upstream {peer.name} {{ server unix:{socket_path}; {keepalive} }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{{_location(peer, socket_path)}
    }}
  }}
"""


def configuration(folder: Path, peers: list[Peer], ports: dict[str, int], sockets: dict[str, str]) -> str:
    """The whole nginx.conf: one worker, a listening port and an upstream per peer, everything else at its default."""
    # Started by root, the worker would become `nobody` and could not open the peers' sockets.
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"  {module}_temp_path {folder}/{module};" for module in ("client_body", "fastcgi", "proxy", "uwsgi", "scgi")
    )
    servers = "".join(_server(peer, ports[peer.name], sockets[peer.name]) for peer in peers)
    return f"""{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_max_body_size 0;
{temporary}
{servers}
}}
"""


def free_ports(count: int) -> list[int]:
    """That many loopback TCP ports nobody listens on at the moment."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def version() -> str:
    """nginx's version number; NginxError without an nginx."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        raise NginxError("there is no nginx here: run bench/setup.sh, or install nginx (Debian: nginx-light)")
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    return said.strip().rpartition("/")[2]


@contextmanager
def nginx(folder: Path, peers: list[Peer], sockets: dict[str, str]) -> Iterator[tuple[int, dict[str, int]]]:
    """Run nginx in ``folder`` while the block runs; its session id and each peer's port."""
    version()
    folder.mkdir()
    ports = dict(zip((peer.name for peer in peers), free_ports(len(peers)), strict=True))
    file = folder / "nginx.conf"
    file.write_text(configuration(folder, peers, ports, sockets), encoding="utf-8")
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(file)]
    with measure.running(command, {"PATH": path}, folder, folder / "stderr.log") as process:
        _await(process, ports, folder)
        yield process.pid, ports


def _await(process: subprocess.Popen[bytes], ports: dict[str, int], folder: Path) -> None:
    deadline = time.monotonic() + 10
    for port in ports.values():
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NginxError("nginx does not start: " + measure.tail(folder / "error.log"))
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.02)
