"""This file is penstock on three hosts behind a load balancer as `penstock config` prints it, and who asks there."""

from __future__ import annotations

import csv
import http.client
import itertools
import re
import shlex
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.config.running import COMMANDS, command
from tests.interop.namespaces import Host, Network
from tests.manager.supervised import until
from tests.processes import PATIENCE, PENSTOCK, Process, Processes, environment

PORT = 9000
HTTP = 8080
BACKEND = "penstock_shop"
ANSWER_TIMEOUT = 100.0  # seconds; longer than penstock's and the balancer's 60 s, so that it is they who give up
CLOSED = "closed without a word"

APPLICATION = """\
import os, time

HERE = os.environ["HOST"]

def app(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        number = environ["wsgi.input"].read().split(b" ", 1)[0]
        with open(f"ran-{HERE}", "ab", 0) as ran:
            ran.write(number + b"\\n")
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.25)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(HERE)))])
    return [HERE.encode()]
"""

_numbers = itertools.count(1)  # of POSTs


class Cluster:
    """The hosts' penstock, started with the lines of the printed text, and the balancer, started with the text itself.

    Attributes:
        network: the hosts.
        folder: with the application, with what it has run, and with the balancer's files.
        balancer: its process; None until `balance`.
    """

    def __init__(self, processes: Processes, network: Network, folder: Path, server: str, *options: str) -> None:
        self._processes = processes
        self.network = network
        self.folder = folder
        self._options = options
        (folder / "shop.py").write_text(APPLICATION)
        self.file = folder / "printed.conf"
        upstreams = [word for host in network.hosts for word in ("--upstream", f"{host.address}:{PORT}")]
        listen = f"{network.front.address}:{HTTP}"
        words = ("config", server, "shop:app", *upstreams, "--listen", listen, "--full", "--state-dir", str(folder))
        printed = subprocess.run(
            [*PENSTOCK, *words], env=environment(), cwd=folder, capture_output=True, text=True, check=True
        )
        self.file.write_text(printed.stdout)
        lines = re.findall("^#   penstock (serve .*)", printed.stdout, re.M)
        allowed = [line.replace("ADDRESS-OF-THIS-WEB-SERVER", network.front.address) for line in lines]
        self._serve = dict(zip(network.hosts, map(shlex.split, allowed), strict=True))
        self._penstock: dict[Host, Process] = {}
        self.balancer: Process | None = None

    def serve(self, host: Host) -> Process:
        """Start penstock on a host, and wait until it serves."""
        control = ("--control", f"{self.folder}/{host.name}.control")
        words = (*host.wrapper, *PENSTOCK, *self._serve[host], "--no-access-log", *control, *self._options)
        env = {"HOST": host.name, "PYTHONDONTWRITEBYTECODE": "1"}
        process = self._processes.start(*words, cwd=self.folder, env=env)
        self._penstock[host] = process
        process.wait_for("control socket: ")
        return process

    def balance(self, program: str, server: str) -> None:
        """Start the balancer on the front host, and wait until it listens."""
        front = self.network.front
        words = command(program, COMMANDS[server][1], self.file)
        self.balancer = self._processes.start(*front.wrapper, *words, cwd="/")
        assert until(lambda: reachable(front)), self.balancer.output()

    def haproxy(self, words: str) -> str:
        """What HAProxy answers to a command on its stats socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{self.folder}/haproxy.sock")
            sock.sendall(words.encode() + b"\n")
            return sock.makefile().read()

    def running(self, number: int) -> int:
        """How many requests HAProxy has given to its server of that number, and waits for."""
        backend, current = "# pxname", "scur"
        rows = csv.DictReader(self.haproxy("show stat").splitlines())
        return next(int(row[current]) for row in rows if (row[backend], row["svname"]) == (BACKEND, f"s{number}"))

    def is_quiet(self, number: int) -> bool:
        """Whether HAProxy waits for nothing from its server of that number."""
        return self.running(number) == 0

    def tell(self, host: Host, *words: str) -> None:
        """Run `penstock WORDS` for a host's supervisor."""
        verb, *options = words
        target = f"{self.folder}/{host.name}.control"
        subprocess.run(
            [*PENSTOCK, verb, target, *options], env=environment(), check=True, capture_output=True, timeout=60
        )

    def process(self, host: Host) -> Process:
        return self._penstock[host]

    def kill(self, host: Host) -> None:
        """Kill everything that runs there."""
        self._penstock[host].kill()

    def output(self) -> str:
        """What the balancer has said, for a message."""
        assert self.balancer
        logs = [log.read_text() for log in self.folder.glob("*error.log")]
        return "\n".join([*(line for line in self.balancer.stderr if " 200 " not in line), *logs])

    def ran(self) -> Counter[int]:
        """How often each POST has been run, on all hosts together."""
        found: Counter[int] = Counter()
        for file in self.folder.glob("ran-*"):
            found.update(map(int, file.read_text().split()))
        return found


@dataclass
class Answers:
    """What became of the requests of one kind.

    Attributes:
        failures: of those that were lost, what came in place of the answer.
        seconds: that each of the others took.
    """

    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        sent = len(self.seconds) + len(self.failures)
        return f"{len(self.failures)} of {sent:,}, the slowest took {max(self.seconds, default=0):.2f} s"


class Load:
    """Clients on the front host that ask without a pause until `stop`: of ten requests of each, three are POSTs.

    Attributes:
        gets, posts: what became of them.
        repeated: how many GETs a client sent once more, for its kept connection was closed before a byte of the answer;
            so do browsers and curl (RFC 9112, 9.3.1).
        hosts: how many were answered by whom.
        answered, lost: numbers of the POSTs that were answered, and of those that were not.
    """

    def __init__(self, front: Host, clients: int) -> None:
        self.gets, self.posts = Answers(), Answers()
        self.repeated = 0
        self.hosts: Counter[str] = Counter()
        self.answered: set[int] = set()
        self.lost: set[int] = set()
        self._front = front
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, number: int, hosts: Sequence[Host] = ()) -> None:
        """Wait until so many requests more have been answered; by each of these hosts, if any are named."""

        def reached() -> bool:
            named = all(self.hosts[host.name] - before[host.name] >= number for host in hosts)
            return named and self.hosts.total() - before.total() >= number

        with self._news:
            before = self.hosts.copy()
            reached_in_time = self._news.wait_for(reached, PATIENCE * 2)
        assert reached_in_time, f"{before} has become {self.hosts}; {self.gets.failures}; {self.posts.failures}"

    def _run(self, at: int) -> None:
        self._front.enter()
        client = http.client.HTTPConnection(self._front.address, HTTP, timeout=ANSWER_TIMEOUT)
        for turn in itertools.count(at):
            if self._stop.is_set():
                break
            number = next(_numbers) if turn % 10 in (2, 5, 8) else 0
            path = "/slow" if turn % 10 in (4, 8) else "/"
            began = time.monotonic()
            kept = client.sock is not None
            told, name = _ask(client, path, number)
            if told == CLOSED and kept and not number:
                self.repeated += 1
                told, name = _ask(client, path, number)
            with self._news:
                kind = self.posts if number else self.gets
                if name:
                    kind.seconds.append(time.monotonic() - began)
                    self.hosts[name] += 1
                    self.answered.update([number] if number else [])
                else:
                    self.lost.update([number] if number else [])
                    kind.failures.append(f"{path}: {told} after {time.monotonic() - began:.2f} s")
                self._news.notify_all()
        client.close()


def reachable(front: Host) -> bool:
    """The balancer listens."""
    try:
        front.connect(front.address, HTTP).close()
    except ConnectionRefusedError:
        return False
    return True


def _ask(client: http.client.HTTPConnection, path: str, number: int) -> tuple[str, str]:
    """What came, and the name of the host if that was an answer; a number is posted."""
    try:
        client.request("POST" if number else "GET", path, b"%d " % number + bytes(2000) if number else None)
        response = client.getresponse()
        body = response.read().decode()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        client.close()
        return CLOSED, ""
    except (OSError, http.client.HTTPException) as error:
        client.close()
        return repr(error), ""
    return (f"status {response.status}", body if response.status == 200 else "")
