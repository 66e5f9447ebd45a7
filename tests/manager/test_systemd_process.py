"""This file plays systemd for real supervisors: it hears what they say, keeps their sockets and passes them on."""

from __future__ import annotations

import array
import contextlib
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.manager.load import Client, Crowd
from tests.manager.supervised import Site, until, write_app
from tests.processes import PATIENCE, PENSTOCK

_START = """
import os, sys
numbers = [int(number) for number in sys.argv[1].split(",") if number]
high = [os.dup2(number, 100 + place) for place, number in enumerate(numbers)]
for place, number in enumerate(high):
    os.dup2(number, 3 + place)
    os.close(number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Systemd:
    """Starts services, hears them on its notify socket, and keeps the descriptors that they store.

    Attributes:
        said: the messages so far, as dictionaries.
        stored: name and descriptor of what it keeps.
    """

    def __init__(self, processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(f"{folder}/notify")
        self.said: list[dict[str, str]] = []
        self.stored: list[tuple[str, int]] = []
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            data, ancillary, _, _ = self._sock.recvmsg(4096, socket.CMSG_SPACE(4 * 16))
            if not data:
                return
            message = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self._news:
                for _, _, rights in ancillary:
                    fds = array.array("i")
                    fds.frombytes(rights)
                    self._keep(message.get("FDNAME", ""), [*fds])
                if "FDSTOREREMOVE" in message:
                    self._drop(message["FDNAME"])
                self.said.append(message)
                self._news.notify_all()

    def _keep(self, name: str, fds: list[int]) -> None:
        for fd in fds:
            if any(os.path.sameopenfile(fd, kept) for _, kept in self.stored):
                os.close(fd)
            else:
                self.stored.append((name, fd))

    def _drop(self, name: str) -> None:
        for entry in [entry for entry in self.stored if entry[0] == name]:
            self.stored.remove(entry)
            os.close(entry[1])

    def wait_for(self, key: str, count: int = 1) -> dict[str, str]:
        with self._news:
            found = self._news.wait_for(
                lambda: [message for message in self.said if key in message][count - 1 : count], PATIENCE
            )
        assert found, (key, self.said)
        return found[0]

    def order(self) -> list[str]:
        """The first key of each message, in their order, but for repeated ones."""
        return [next(iter(message)) for message in self.said]

    def start(self, *options: str) -> Site:
        names = ":".join(name for name, _ in self.stored)
        numbers = ",".join(str(fd) for _, fd in self.stored)
        env = {"NOTIFY_SOCKET": f"{self._folder}/notify", "FDSTORE": "16", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.stored:
            env |= {"LISTEN_FDS": str(len(self.stored)), "LISTEN_FDNAMES": names}
        command = [*PENSTOCK, "serve", "app:app", *options, "--no-access-log"]
        argv = [sys.executable, "-c", _START, numbers, *command]
        fds = [fd for _, fd in self.stored]
        return Site(self._processes.start(*argv, cwd=self._folder, env=env, pass_fds=fds), self._folder)

    def close(self) -> None:
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
            sock.sendto(b"", f"{self._folder}/notify")
        self._thread.join()
        self._sock.close()
        for _, fd in self.stored:
            os.close(fd)


@pytest.fixture
def systemd(processes, sock_dir):
    write_app(sock_dir, 1)
    played = Systemd(processes, sock_dir)
    yield played
    processes.end()
    played.close()


def ask(address, url="/"):
    with contextlib.closing(Client(address)) as client:
        return client.ask(url)


def test_a_reload_is_told_from_its_beginning_to_its_end(systemd, sock_dir):
    site = systemd.start("--bind", f"unix:{sock_dir}/app.sock", "--workers", "1")
    assert "serves" in systemd.wait_for("READY")["STATUS"]
    systemd.said.clear()
    site.reload()
    systemd.wait_for("READY")
    assert [key for key in systemd.order() if key in ("RELOADING", "READY")] == ["RELOADING", "READY"]
    assert systemd.wait_for("RELOADING")["MONOTONIC_USEC"].isdecimal()
    write_app(sock_dir, 2, "raise RuntimeError('no')")
    systemd.said.clear()
    assert not site.tell("reload", wait=True)["ok"]
    assert "failed" in systemd.wait_for("READY")["STATUS"]
    assert site.process.stop() == 0


def test_an_upgrade_is_a_reload_of_the_same_process(systemd, sock_dir):
    site = systemd.start("--bind", f"unix:{sock_dir}/app.sock", "--workers", "1")
    systemd.wait_for("READY")
    systemd.said.clear()
    site.process.send_signal(signal.SIGUSR2)
    systemd.wait_for("READY")
    assert [key for key in systemd.order() if key in ("RELOADING", "READY")] == ["RELOADING", "READY"]
    assert not [message for message in systemd.said if "MAINPID" in message]
    assert site.process.stop() == 0


def test_a_long_end_asks_for_the_time_that_it_takes(systemd, sock_dir):
    site = systemd.start("--bind", f"unix:{sock_dir}/app.sock", "--workers", "1", "--graceful-timeout", "500")
    systemd.wait_for("READY")
    systemd.said.clear()
    assert site.process.stop() == 0
    assert systemd.wait_for("STOPPING")
    assert int(systemd.wait_for("EXTEND_TIMEOUT_USEC")["EXTEND_TIMEOUT_USEC"]) > 500_000_000


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "single"])
@pytest.mark.parametrize("bind", ["unix", "tcp"])
def test_a_restart_refuses_nobody_and_loses_nobody(systemd, sock_dir, free_port, bind, keep):
    address = f"127.0.0.1:{free_port}" if bind == "tcp" else f"unix:{sock_dir}/app.sock"
    words = ("--bind", address, "--workers", "2", "--control", f"{sock_dir}/control")
    site = systemd.start(*words)
    systemd.wait_for("FDSTORE")
    with Crowd(address, 4, keep=keep) as crowd:
        for version in (2, 3, 4):
            crowd.wait_for(100)
            write_app(sock_dir, version)
            assert site.process.stop() == 0, site.process.output()
            assert not [line for line in site.process.stderr if "ERROR" in line]
            site = systemd.start(*words)
        crowd.wait_for(100)
    assert not crowd.failures
    crowd.check_order()
    assert ask(address) == b"4"
    assert len(systemd.stored) == 1
    other = systemd._processes.penstock("serve", "app:app", "--bind", address, cwd=sock_dir)
    assert other.wait() == 4
    assert site.process.stop() == 0


def test_an_address_that_is_not_served_any_more_is_not_kept(systemd, sock_dir):
    config = sock_dir / "penstock.toml"
    config.write_text('bind = ["unix:app.sock", "unix:other.sock"]\n')
    site = systemd.start("--config", "penstock.toml", "--workers", "1", "--probation", "0")
    systemd.wait_for("FDSTORE", 2)
    config.write_text('bind = ["unix:app.sock"]\n')
    site.reload()
    systemd.wait_for("FDSTOREREMOVE")
    [(name, _)] = systemd.stored
    assert re.fullmatch(r"penstock\.unix%3a/.*/app\.sock", name)
    assert not (sock_dir / "other.sock").exists()
    assert site.process.stop() == 0


def test_what_was_kept_and_has_lost_its_path_is_opened_anew(systemd, sock_dir):
    words = ("--bind", f"unix:{sock_dir}/app.sock", "--workers", "1")
    site = systemd.start(*words)
    systemd.wait_for("FDSTORE")
    assert site.process.stop() == 0
    (sock_dir / "app.sock").unlink()
    site = systemd.start(*words)
    assert ask(f"unix:{sock_dir}/app.sock") == b"1"
    site.process.wait_for("is of no use")
    assert site.process.stop() == 0


def test_a_manager_that_keeps_nothing_sees_the_path_go(systemd, sock_dir):
    site = systemd.start("--bind", f"unix:{sock_dir}/app.sock", "--workers", "1")
    assert site.process.stop() == 0
    assert until(lambda: (sock_dir / "app.sock").exists())
    os.unlink(sock_dir / "app.sock")
    process = systemd._processes.penstock(
        *("serve", "app:app", "--bind", f"unix:{sock_dir}/app.sock", "--workers", "1"),
        cwd=sock_dir,
        env={"NOTIFY_SOCKET": f"{sock_dir}/notify", "FDSTORE": "0"},
    )
    process.wait_for("control socket")
    assert process.stop() == 0
    assert not (sock_dir / "app.sock").exists()
