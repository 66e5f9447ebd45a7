"""This file writes a configuration of nginx into a scratch folder and starts it there, as root or as anybody else."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from tests.processes import PATIENCE, Process, Processes, find_free_port

ROOT_STYLE = """
    location / {
      include PARAMS;
      fastcgi_param PATH_INFO   $fastcgi_script_name;
      fastcgi_param SCRIPT_NAME "";
      fastcgi_param HTTP_PROXY  "";
      PASS
    }
"""
SUB_STYLE = """
    location /sub/ {
      include PARAMS;
      fastcgi_split_path_info ^(/sub)(/.*)$;
      fastcgi_param SCRIPT_NAME $fastcgi_script_name;
      fastcgi_param PATH_INFO   $fastcgi_path_info;
      PASS
    }
"""
# As the distribution's own file leaves it: SCRIPT_NAME is the whole path, and there is no PATH_INFO.
STOCK_STYLE = """
    location / {
      include PARAMS;
      PASS
    }
"""


@dataclass(frozen=True)
class Front:
    """One way through nginx.

    Attributes:
        backend: where penstock listens: `unix:/path` or `host:port`.
        kept: connections to it are kept and used again.
        buffered: a request body is received by nginx before penstock sees any of it.
        style: how paths are passed on.
    """

    backend: str
    kept: bool = True
    buffered: bool = True
    style: str = ROOT_STYLE

    def configuration(self, number: int, port: int, params: Path) -> str:
        """The upstream and the server of this front."""
        directives = (
            f"fastcgi_keep_conn {'on' if self.kept else 'off'};",
            f"fastcgi_request_buffering {'on' if self.buffered else 'off'};",
            f"fastcgi_pass app{number};",
        )
        locations = self.style.replace("PARAMS", str(params)).replace("PASS", " ".join(directives))
        keepalive = "keepalive 64;" if self.kept else ""
        return (
            f"  upstream app{number} {{ server {self.backend}; {keepalive} }}\n"
            f"  server {{ listen 127.0.0.1:{port} backlog=1024; {locations} }}\n"
        )


class Nginx:
    """A running nginx with a port for each front."""

    def __init__(self, process: Process, ports: dict[Front, int]) -> None:
        self.process = process
        self._ports = ports

    def port(self, front: Front) -> int:
        return self._ports[front]

    def connect(self, front: Front) -> HTTPConnection:
        """A client of one front; nothing is sent yet."""
        return HTTPConnection("127.0.0.1", self._ports[front], timeout=PATIENCE)


def distributed_params(program: str) -> Path:
    """The `fastcgi_params` that came with this nginx."""
    about = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"--conf-path=(\S+)", about)
    return Path(found[1] if found else "/etc/nginx/nginx.conf").with_name("fastcgi_params")


def start(processes: Processes, program: str, folder: Path, fronts: list[Front]) -> Nginx:
    """Start nginx with its files in `folder`, and wait until it listens."""
    ports = {front: find_free_port() for front in fronts}
    params = distributed_params(program)
    servers = "".join(front.configuration(at, port, params) for at, (front, port) in enumerate(ports.items()))
    return Nginx(_run(processes, program, folder, servers), ports)


def start_scgi(processes: Processes, program: str, folder: Path, path: str) -> int:
    """Start nginx in front of the SCGI socket at `path`, with the `scgi_params` that came with it; returns its port."""
    port = find_free_port()
    params = distributed_params(program).with_name("scgi_params")
    location = f"location / {{ include {params}; scgi_pass unix:{path}; }}"
    _run(processes, program, folder, f"  server {{ listen 127.0.0.1:{port}; {location} }}\n")
    return port


def _run(processes: Processes, program: str, folder: Path, servers: str) -> Process:
    """Start it with these blocks of its `http`."""
    # Started by root, the workers would become another user, who may not open the sockets of these tests.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    modules = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
    temporary = "\n".join(f"  {module}_temp_path {folder}/{module};" for module in modules)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"{user}\ndaemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log stderr notice;\n"
        f"events {{ worker_connections 2048; }}\n"
        f"http {{\n  access_log off;\n  client_max_body_size 0;\n{temporary}\n{servers}}}\n",
        encoding="utf-8",
    )
    process = processes.start(program, "-p", folder, "-e", "stderr", "-c", configuration)
    process.wait_for("start worker process ")
    return process


def ask(
    connection: HTTPConnection, method: str, target: str, body: object = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request over a connection that stays open; header names are written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, body, named, encode_chunked="Transfer-Encoding" in named)  # type: ignore[arg-type]
    response = connection.getresponse()
    return response, response.read()
