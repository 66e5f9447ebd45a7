"""This file tests that workers of one pool hold nothing that belongs to another pool, or to the supervisor alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.client import Client

APP = """
import json, os, socket

def app(environ, start_response):
    links, listening = [], []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
        if links[-1].startswith("socket:"):
            with socket.socket(fileno=os.dup(number)) as sock:
                if sock.family == socket.AF_UNIX and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    listening.append(sock.getsockname())
    with open("/proc/self/maps") as maps:
        shared = sum(" rw-s " in line for line in maps)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"links": links, "listening": listening, "shared": shared}).encode()]
"""

SETTINGS = """
pid = "{folder}/pid"
control = "{folder}/control"
status_bind = "unix:{folder}/status.sock"
slow_log_file = "{folder}/slow.log"
slow_log = "10s"
workers = "2"

[pool.one]
app = "app:app"
bind = "unix:{folder}/one.sock"
access_log_file = "{folder}/one.log"

[pool.two]
app = "app:app"
bind = "unix:{folder}/two.sock"
access_log_file = "{folder}/two.log"
"""


def seen(folder: Path, pool: str) -> dict[str, Any]:
    with Client(f"unix:{folder}/{pool}.sock") as client:
        found: dict[str, Any] = json.loads(client.request("GET", "/").body)
        return found


def test_a_worker_holds_its_own_pools_things_alone(processes, sock_dir):
    (sock_dir / "app.py").write_text(APP)
    (sock_dir / "penstock.toml").write_text(SETTINGS.format(folder=sock_dir))
    process = processes.penstock("serve", cwd=sock_dir)
    process.wait_for("control socket: ")
    for pool, other in (("one", "two"), ("two", "one")):
        found = seen(sock_dir, pool)
        assert found["listening"] == [f"{sock_dir}/{pool}.sock"]
        assert f"{sock_dir}/{pool}.log" in found["links"]
        for name in ("pid", "slow.log", f"{other}.log", "control.lock", "status.sock.lock", f"{other}.sock.lock"):
            assert f"{sock_dir}/{name}" not in found["links"], name
        assert found["shared"] == 1  # the scoreboard
        stacks = [link for link in found["links"] if "stacks-" in link]
        assert len(stacks) == len(set(stacks))
    assert (sock_dir / "pid").read_text() == f"{process.pid}\n"
    assert process.stop() == 0
    assert sorted(path.name for path in sock_dir.iterdir() if path.suffix in (".sock", ".lock", "")) == []
