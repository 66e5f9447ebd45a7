"""This file tests the control socket: who gets in, what is refused, and that nobody there keeps the supervisor."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.manager.control import MOST, Control, control_path
from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.reactor import Reactor
from tests.manager.forked import in_child
from tests.processes import PATIENCE


class Place:
    """A control socket whose loop runs in this thread while a test waits; `obey` may be changed."""

    def __init__(self, folder: Path) -> None:
        self.reactor = Reactor()
        self.obey: Callable[..., None] = lambda name, content, answer: answer(ok=True, heard=name)
        self.control = Control(f"{folder}/c", self.reactor, lambda *args: self.obey(*args))

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.control.path)
        return sock

    def run(self, until: Callable[[], Any] | None = None, seconds: float = 0.05) -> None:
        """Let the loop run until something holds, or for a moment."""

        def look() -> None:
            if until is None or until():
                self.reactor.stopped = True
            else:
                alarm.set(0.005)

        self.reactor.stopped = False
        alarm = self.reactor.alarm(look)
        alarm.set(seconds if until is None else 0)
        end = self.reactor.alarm(lambda: setattr(self.reactor, "stopped", True))
        end.set(PATIENCE)
        self.reactor.run()
        end.clear()

    def ask(self, data: bytes) -> dict[str, Any]:
        """What is answered to these bytes."""
        with self.client() as sock:
            sock.sendall(data)
            self.run(lambda: readable(sock))
            answer: dict[str, Any] = json.loads(sock.makefile("rb").readline())
            return answer

    @property
    def clients(self) -> int:
        return len(self.control.guests)


def readable(sock: socket.socket) -> bool:
    """Whether an answer, or the end, has come."""
    return bool(select.select([sock], [], [], 0)[0])


@pytest.fixture
def place(sock_dir):
    made = Place(sock_dir)
    yield made
    made.control.close()
    made.reactor.close()
    assert not os.path.exists(made.control.path)


def test_a_command_is_a_line_of_json_and_so_is_the_answer(place):
    assert place.ask(b'{"command": "ping"}\n') == {"ok": True, "heard": "ping"}
    assert place.clients == 0


def test_a_command_may_come_byte_by_byte(place):
    with place.client() as sock:
        for byte in b'{"command": "ping"}\n':
            sock.sendall(bytes([byte]))
            place.run(seconds=0.001)
        place.run(lambda: readable(sock))
        assert b"ping" in sock.recv(4096)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\n", "one line of JSON"),
        (b"ping\n", "one line of JSON"),
        (b"\xff\xfe\n", "one line of JSON"),
        (b"[" * 4000 + b"\n", "one line of JSON"),
        (b"[]\n", "an object such as"),
        (b'{"command": 1}\n', "an object such as"),
        (b"{}\n", "an object such as"),
        (b" " * (MOST + 1), f"at most {MOST} bytes"),
        (b'{"command": "' + b"x" * MOST + b'"}\n', f"at most {MOST} bytes"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_command_is_refused_with_a_sentence(place, data, told):
    answer = place.ask(data)
    assert not answer["ok"]
    assert told in answer["error"]
    assert place.clients == 0


def test_half_a_command_keeps_its_place_only_for_a_time(place, monkeypatch):
    monkeypatch.setattr("penstock.manager.guests.PATIENCE", 0.05)
    with place.client() as sock:
        sock.sendall(b'{"command": ')
        place.run(lambda: place.clients == 1)
        place.run(lambda: place.clients == 0)
        assert sock.recv(1) == b""


def test_who_leaves_is_forgotten(place):
    with place.client():
        place.run(lambda: place.clients == 1)
    place.run(lambda: place.clients == 0)


def test_an_answer_may_come_late(place):
    answers = []
    place.obey = lambda name, content, answer: answers.append(answer)
    with place.client() as sock:
        sock.sendall(b'{"command": "reload", "wait": true}\n')
        place.run(lambda: answers)
        place.run()
        assert place.clients == 1
        answers[0](ok=True, generation=2)
        place.run(lambda: readable(sock))
        assert json.loads(sock.recv(4096)) == {"ok": True, "generation": 2}


def test_an_answer_to_somebody_who_has_left_goes_nowhere(place):
    answers = []
    place.obey = lambda name, content, answer: answers.append(answer)
    with place.client() as sock:
        sock.sendall(b'{"command": "reload", "wait": true}\n')
        place.run(lambda: answers)
    place.run(lambda: place.clients == 0)
    answers[0](ok=True)
    place.run()


def test_what_comes_behind_the_command_is_not_obeyed(place):
    heard = []
    place.obey = lambda name, content, answer: heard.append(name)
    with place.client() as sock:
        sock.sendall(b'{"command": "ping"}\n{"command": "stop"}\n')
        place.run(lambda: heard)
        sock.sendall(b'{"command": "stop"}\n' * 100)
        place.run()
        assert heard == ["ping"]


def test_who_does_not_read_its_answer_holds_up_nobody_and_is_let_go(place, monkeypatch):
    monkeypatch.setattr("penstock.manager.guests.PATIENCE", 1.0)
    place.obey = lambda name, content, answer: answer(ok=True, status="x" * (20_000_000 if name == "status" else 1))
    with place.client() as deaf:
        deaf.sendall(b'{"command": "status"}\n')
        place.run(lambda: readable(deaf))
        assert place.clients == 1
        assert place.ask(b'{"command": "ping"}\n')["ok"]
        place.run(lambda: place.clients == 0)


def test_a_long_answer_arrives_whole(place):
    place.obey = lambda name, content, answer: answer(ok=True, status="x" * 5_000_000)
    got: list[bytes] = []
    with place.client() as sock:
        sock.sendall(b'{"command": "status"}\n')
        reader = threading.Thread(target=lambda: got.append(sock.makefile("rb").read()))
        reader.start()
        place.run(lambda: not reader.is_alive())
        reader.join()
    assert len(json.loads(got[0])["status"]) == 5_000_000


def test_forty_at_once_are_thirty_two_and_places_are_free_again(place):
    crowd = [place.client() for _ in range(16)]
    place.run(lambda: place.clients == 16)
    crowd += [place.client() for _ in range(16)]
    place.run(lambda: place.clients == 32)
    crowd += [place.client() for _ in range(8)]
    place.run(lambda: readable(crowd[-1]))
    assert place.clients == 32
    assert [sock.recv(1) for sock in crowd[32:]] == [b""] * 8
    for sock in crowd:
        sock.close()
    place.run(lambda: place.clients == 0)
    assert place.ask(b'{"command": "ping"}\n')["ok"]


def test_what_fails_inside_is_answered_and_logged(place, caplog):
    place.obey = lambda name, content, answer: 1 // 0
    answer = place.ask(b'{"command": "status"}\n')
    assert not answer["ok"]
    assert "ZeroDivisionError" in caplog.text
    assert place.clients == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused_even_if_the_file_would_let_him_in(place):
    os.chmod(place.control.path, 0o666)
    os.chmod(os.path.dirname(place.control.path), 0o755)
    heard = []
    place.obey = lambda name, content, answer: heard.append(name)

    def nobody() -> bytes:
        os.setgid(65534)
        os.setuid(65534)
        with place.client() as sock:
            try:
                sock.sendall(b'{"command": "stop"}\n')
                return sock.recv(100)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    got: list[bytes] = []
    asker = threading.Thread(target=lambda: got.append(in_child(nobody)))
    asker.start()
    place.run(lambda: not asker.is_alive())
    asker.join()
    assert got == [b""]
    assert heard == []
    assert place.clients == 0


def test_the_file_is_for_its_owner_alone(place):
    assert os.stat(place.control.path).st_mode & 0o777 == 0o600


class TestThePath:
    def plan(self, *bind: str, control: str | None = None) -> Plan:
        return Plan((PoolPlan("main", "app:app", bind),), control=control)

    def test_is_the_one_that_is_named(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        assert control_path(self.plan("unix:/x.sock", control="c")) == f"{tmp_path}/c"

    def test_stands_beside_the_first_unix_socket(self, sock_dir):
        plan = self.plan("127.0.0.1:9000", f"unix:{sock_dir}/app.sock")
        assert control_path(plan) == f"{sock_dir}/app.sock.control"

    def test_is_in_the_runtime_folder_for_other_addresses(self, monkeypatch, sock_dir):
        monkeypatch.setenv("RUNTIME_DIRECTORY", f"{sock_dir}:/other")
        assert control_path(self.plan("127.0.0.1:9000")) == f"{sock_dir}/127.0.0.1:9000.control"

    def test_is_elsewhere_when_it_would_be_too_long(self, monkeypatch, sock_dir):
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(sock_dir))
        long = f"{sock_dir}/{'x' * (100 - len(str(sock_dir)))}"
        assert not control_path(self.plan(f"unix:{long}")).startswith(long)

    def test_is_not_in_a_folder_that_others_may_write_to(self, monkeypatch):
        from penstock.manager import control

        monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        uid = 4_000_000 + os.getpid()  # nobody's, and that of no other run of the tests
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        folder = Path(f"/tmp/penstock-{uid}")
        folder.mkdir()
        try:
            with pytest.raises(ValueError, match="not a folder of ours alone"):
                control.runtime_folder()
        finally:
            folder.rmdir()
