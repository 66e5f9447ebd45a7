"""This file shows penstock at work: a browser, nginx, FastCGI, one page. It prints the page's URL; Ctrl-C ends it all.

    python tools/demo.py            until Ctrl-C
    python tools/demo.py --check    fetch the page, print what came, end with 0 if it is the right one
    python tools/demo.py --dev      with `penstock dev` in nginx's place, as where there is no nginx

It listens on 127.0.0.1 alone.
"""

from __future__ import annotations

import argparse
import html
import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PENSTOCK = (sys.executable, "-c", "import sys; from penstock.cli.main import main; sys.exit(main())")
MARK = "It works."
PATIENCE = 20.0  # seconds until the page has to answer

NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  fastcgi_temp_path {folder}/fastcgi;
  proxy_temp_path {folder}/proxy;
  scgi_temp_path {folder}/scgi;
  uwsgi_temp_path {folder}/uwsgi;
  upstream app {{ server unix:{folder}/app.sock; keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      include {params};
      fastcgi_param PATH_INFO   $fastcgi_script_name;
      fastcgi_param SCRIPT_NAME "";
      fastcgi_param HTTP_PROXY  "";
      fastcgi_keep_conn on;
      fastcgi_pass app;
    }}
  }}
}}
"""


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


class Demo:
    """The programs of the demo and the folder they live in."""

    def __init__(self) -> None:
        # Not tempfile's own 0700: nginx's worker, which is another user when we are root, has to pass through.
        self.folder = Path(tempfile.mkdtemp(prefix="penstock-demo-", dir="/tmp"))
        self.folder.chmod(0o711)
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *argv: str) -> None:
        """Start a program with its output in a log file, out of reach of the terminal's Ctrl-C: `close` ends it."""
        env = dict(os.environ, PYTHONPATH=str(ROOT / "src"))
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.running.append((name, process))

    def check_running(self) -> None:
        for name, process in self.running:
            if process.poll() is not None:
                raise DemoError(f"{name} ended with exit code {process.returncode}\n{self.said()}")

    def said(self) -> str:
        """The last lines that each program has printed."""
        logs = ((name, (self.folder / f"{name}.log").read_text(errors="replace")) for name, _ in self.running)
        return "\n".join(f"{name}: {line}" for name, text in logs for line in text.splitlines()[-20:])

    def wait(self) -> None:
        """Wait until one of the programs ends; Ctrl-C comes first, if all goes well."""
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        self.check_running()

    def close(self) -> None:
        for _, process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
        for _, process in reversed(self.running):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port(wanted: Sequence[int]) -> int:
    """The first of these ports on 127.0.0.1 that is free; 0 stands for any."""
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise DemoError(f"port {wanted[0]} of 127.0.0.1 is in use")


def nginx_user() -> str | None:
    """The account of nginx's workers, where nginx starts as root and has to take another; else None."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("www-data", "nginx", "nobody") if name in known), "root")


def find_nginx() -> tuple[str, Path] | None:
    """The nginx program and the `fastcgi_params` file that came with it, where both are installed."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")
    if program is None:
        return None
    about = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stderr
    config = re.search(r"--conf-path=(\S+)", about)
    params = Path(config[1] if config else "/etc/nginx/nginx.conf").with_name("fastcgi_params")
    return (program, params) if params.is_file() else None


def start_dev(demo: Demo, port: int) -> str:
    """Start `penstock dev`, which is front and back in one, and say which way the page comes."""
    demo.start("penstock", *PENSTOCK, "dev", "examples/hello.py", "--http", f"127.0.0.1:{port}")
    return "browser -> HTTP -> penstock dev -> FastCGI -> penstock -> WSGI -> examples/hello.py"


def start(demo: Demo, port: int, program: str, params: Path) -> str:
    """Start penstock and nginx, and say which way the page comes."""
    user = nginx_user()
    config = demo.folder / "nginx.conf"
    user_line = f"user {user};" if user else ""
    config.write_text(NGINX.format(folder=demo.folder, port=port, user=user_line, params=params))
    # The socket's mode is 0660; its owner is whoever has to connect, and that is nginx's worker.
    owner = ("--socket-owner", user) if user else ()
    demo.start("penstock", *PENSTOCK, "serve", "examples/hello.py", "--bind", f"unix:{demo.folder}/app.sock", *owner)
    demo.start("nginx", program, "-p", str(demo.folder), "-c", str(config))
    return "browser -> HTTP -> nginx -> FastCGI -> penstock -> WSGI -> examples/hello.py"


def fetch(demo: Demo, port: int) -> str:
    """The page, as soon as all are up; a 502 says that penstock is not there yet."""
    end = time.monotonic() + PATIENCE
    last = "nothing"
    while time.monotonic() < end:
        demo.check_running()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            page = response.read().decode("utf-8", "replace")
            if response.status == 200 and MARK in page:
                return page
            last = f"{response.status} {response.reason}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        finally:
            connection.close()
        time.sleep(0.05)
    raise DemoError(f"the page did not come within {PATIENCE:.0f} seconds; the last answer was: {last}\n{demo.said()}")


def as_text(page: str) -> str:
    """The words of a page, a line for each heading and each row."""
    body = re.sub(r"<style>.*?</style>|<!doctype.*?>|<title>.*?</title>", "", page, flags=re.DOTALL)
    body = body.replace("</th><td>", " = ")
    lines = (html.unescape(line).strip() for line in re.sub(r"<[^>]*>", "\n", body).splitlines())
    return "\n".join(f"  {line}" for line in lines if line)


def main() -> int:
    parser = argparse.ArgumentParser(description="One page through nginx, FastCGI and penstock.")
    parser.add_argument("--check", action="store_true", help="fetch the page, print it, and end")
    parser.add_argument("--dev", action="store_true", help="use `penstock dev` and not nginx")
    parser.add_argument("--port", type=int, help="where to listen on 127.0.0.1 (default: 8000 or any free one)")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # however we are told to end: as after Ctrl-C
    demo = Demo()
    try:
        port = free_port((options.port,) if options.port else (8000, 0))
        nginx = None if options.dev else find_nginx()
        way = start(demo, port, *nginx) if nginx else start_dev(demo, port)
        page = fetch(demo, port)
        print(f"\n  {way}\n\n  http://127.0.0.1:{port}/\n", flush=True)
        if options.check:
            print(as_text(page))
        else:
            print("  Ctrl-C ends it.", flush=True)
            demo.wait()
    except KeyboardInterrupt:
        print()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        demo.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
