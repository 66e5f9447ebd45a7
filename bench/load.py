"""The three loads: what is asked, what a right answer is, and how wrk and a plain client ask it."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench import apps

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = 16
ALONE = {"Accept": "*/*"}

# With Host, which every client adds, a page request carries 25 headers; this is what a browser behind a CDN sends.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.8,de;q=0.5,fr;q=0.3",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://www.example.org/articles/2024/05/a-quite-ordinary-page?page=2&sort=newest",
    "Cookie": "session=0f8fad5bd9cb469fa16570867728950e; csrftoken=7c9e6679f8ea4f1b; theme=dark; consent=1",
    "DNT": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-User": "?1",
    "Sec-CH-UA-Platform": '"Linux"',
    "Sec-CH-UA-Mobile": "?0",
    "Sec-GPC": "1",
    "Priority": "u=0, i",
    "Cache-Control": "max-age=0",
    "If-Modified-Since": "Wed, 01 May 2024 10:20:30 GMT",
    "X-Forwarded-For": "203.0.113.7, 198.51.100.23",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "www.example.org",
    "X-Request-Id": "9b2c7f64-6a0d-4c1c-8d5f-1e0c7f3a2b45",
    "Via": "1.1 edge.example.net",
    "X-Last": "twenty-fifth",
}

# done() is wrk's own hook; whole numbers from it need no parsing of wrk's rounded table.
SCRIPT_TAIL = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %.0f\\n", summary.requests, e.status,
    e.connect + e.read + e.write + e.timeout, summary.duration, latency:percentile(99.0)))
end
"""
RESULT = re.compile(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", re.MULTILINE)


class WrongAnswer(Exception):
    """The application answered, but not what it was asked for."""


class ErrorStatus(WrongAnswer):
    """It answered with another status than 200: an error it, or nginx for it, owned up to."""


@dataclass(frozen=True)
class Load:
    """One kind of request and the one right answer to it; ``body`` None is a GET."""

    name: str
    title: str
    headers: dict[str, str]
    answer: bytes
    body: bytes | None = None
    answer_headers: dict[str, str] = field(default_factory=dict)
    warm_up: int = 200

    @property
    def path(self) -> str:
        """The path asked for, the same for every peer."""
        return "/" + self.name

    @property
    def method(self) -> str:
        """GET, or POST where there is a body."""
        return "GET" if self.body is None else "POST"

    def script(self, folder: Path) -> Path:
        """Write the wrk script of this load (and its body) into ``folder``; the script's path."""
        lines = [f'wrk.method = "{self.method}"']
        lines += [f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in self.headers.items()]
        if self.body is not None:
            body = folder / f"{self.name}.body"
            body.write_bytes(self.body)
            lines.append(f'wrk.body = io.open("{body}", "rb"):read("*a")')
        script = folder / f"{self.name}.lua"
        script.write_text("\n".join(lines) + SCRIPT_TAIL, encoding="ascii")
        return script


@dataclass(frozen=True)
class WrkResult:
    """What wrk counted: good answers, bad ones, broken connections; seconds; p99 in milliseconds."""

    good: int
    bad: int
    broken: int
    seconds: float
    p99_ms: float


def _lua(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _upload_body() -> bytes:
    # Blocks that differ from each other: a server that repeats or drops one changes the hash.
    return b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(256 * 1024 // 32))


def _loads() -> dict[str, Load]:
    body = _upload_body()
    cookie = "last=twenty-fifth; Path=/; HttpOnly"
    loads = (
        Load("hello", "GET, 140-byte answer", ALONE, apps.HELLO),
        Load(
            "page",
            "GET with 25 request headers, 12 KB answer in 5 chunks, Set-Cookie",
            BROWSER,
            b"".join(apps.PAGE),
            answer_headers={"Set-Cookie": cookie},
        ),
        Load(
            "upload",
            "POST of 256 KB, its SHA-256 answered",
            ALONE | {"Content-Type": "application/octet-stream"},
            hashlib.sha256(body).hexdigest().encode("ascii"),
            body=body,
            warm_up=20,
        ),
    )
    return {load.name: load for load in loads}


LOADS = _loads()


def ask(port: int, load: Load, times: int = 1) -> None:
    """Send ``load`` ``times`` times over one connection and check every answer; WrongAnswer or OSError if not right."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        for _ in range(times):
            connection.putrequest(load.method, load.path, skip_accept_encoding=True)
            for name, value in load.headers.items():
                connection.putheader(name, value)
            if load.body is not None:
                connection.putheader("Content-Length", str(len(load.body)))
            connection.endheaders(load.body)
            response = connection.getresponse()
            _compare(load, response, response.read())
    finally:
        connection.close()


def _compare(load: Load, response: http.client.HTTPResponse, body: bytes) -> None:
    if response.status != 200:
        raise ErrorStatus(f"status {response.status}")
    if hashlib.sha256(body).digest() != hashlib.sha256(load.answer).digest():
        raise WrongAnswer(f"a body of {len(body)} bytes that is not the {len(load.answer)} expected")
    for name, value in load.answer_headers.items():
        if response.headers.get_all(name) != [value]:
            raise WrongAnswer(f"{name} is {response.headers.get_all(name)}")


def wrk(port: int, load: Load, script: Path, seconds: int) -> WrkResult:
    """Run wrk with one thread and 16 connections for ``seconds`` (whole ones: wrk knows no others)."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{load.path}"],
        capture_output=True,
        text=True,
        timeout=seconds + 20,
        check=False,
    )
    found = RESULT.search(done.stdout)
    if found is None:
        raise WrongAnswer(f"wrk ended with {done.returncode} and no result")
    total, bad, broken, microseconds, p99 = map(int, found.groups())
    return WrkResult(total - bad, bad, broken, microseconds / 1e6, p99 / 1000)
