"""This file tests opening listeners of every kind, who passes them, how they drain, and how they end."""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.server import listen
from penstock.server.listen import AddressError, BindError, Listener, open_listeners
from tests.processes import find_free_port

NOBODY = 65534


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")


@contextmanager
def listening(
    *bind: str, allow: list[str] | None = None, environ: dict[str, str] | None = None, insecure_public: bool = False
) -> Iterator[list[Listener]]:
    listeners = open_listeners(bind, allow=allow, environ=environ or {}, insecure_public=insecure_public)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as an ordinary user; root acts as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def accept(listener: Listener) -> tuple[socket.socket, object]:
    assert select.select([listener.socket], [], [], 20)[0], "a connection is queued"
    return listener.socket.accept()


def refusal(*bind: str, error: type[Exception] = BindError) -> str:
    with pytest.raises(error) as caught:
        open_listeners(bind, environ={})
    assert str(caught.value).isprintable()
    assert "; " in str(caught.value), "the mend follows the cause"
    return str(caught.value)


# TCP


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=needs_ipv6)])
def test_port_zero_becomes_the_real_port_in_the_address(host: str) -> None:
    with listening(f"{host}:0") as (listener,):
        port = listener.socket.getsockname()[1]
        assert port > 0
        assert listener.address == f"{host}:{port}"
        assert not listener.is_unix
        assert listener.warnings == ()


@pytest.fixture
def several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host name stands for these: the first is nobody's, the last is said twice."""

    def lookup(_: object, port: int, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        hosts = ("192.0.2.1", "127.0.0.1", "127.0.0.2", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.usefixtures("several_addresses")
def test_a_host_name_listens_on_each_of_its_addresses_and_skips_those_missing_here() -> None:
    port = find_free_port()
    with listening(f"name:{port}", insecure_public=True) as listeners:
        assert [listener.address for listener in listeners] == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]


@pytest.mark.usefixtures("several_addresses")
def test_a_host_name_with_port_zero_listens_once_because_each_address_would_get_another_port() -> None:
    with listening("name:0", insecure_public=True) as listeners:
        assert len(listeners) == 1
        assert listeners[0].address.startswith("127.0.0.1:")


@pytest.mark.usefixtures("several_addresses")
def test_one_public_address_makes_the_whole_name_public() -> None:
    assert "--insecure-public" in refusal("name:0", error=AddressError)


@needs_ipv6
def test_ipv6_leaves_the_port_of_ipv4_alone() -> None:
    with listening("[::]:0", insecure_public=True) as (six,):
        port = six.socket.getsockname()[1]
        with listening(f"0.0.0.0:{port}", insecure_public=True) as (four,):
            assert four.socket.getsockname()[1] == port


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("[::1]", marks=needs_ipv6)])
def test_accepted_connections_have_nodelay_without_a_further_call(host: str) -> None:
    with listening(f"{host}:0") as (listener,), socket.create_connection(listener.socket.getsockname()[:2]):
        connection, _ = accept(listener)
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_listeners_never_block_and_are_not_inherited_by_programs(sock_dir: Path) -> None:
    with listening("127.0.0.1:0", f"unix:{sock_dir}/s") as listeners:
        for listener in listeners:
            assert not listener.socket.get_inheritable()
            with pytest.raises(BlockingIOError):
                listener.socket.accept()


def test_the_backlog_holds_a_thousand_connections_that_nobody_has_accepted(sock_dir: Path) -> None:
    if sys.platform == "linux" and int(Path("/proc/sys/net/core/somaxconn").read_text()) < 1024:
        pytest.skip("this kernel caps every backlog below 1024")
    with listening(f"unix:{sock_dir}/s"), ExitStack() as stack:
        # Few descriptors: a connection stays queued after its client has closed.
        for _ in range(1024):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect(f"{sock_dir}/s")
            client.close()


def test_a_port_in_use_is_said_so() -> None:
    with listening("127.0.0.1:0") as (listener,):
        assert "the port is in use by another server" in refusal(listener.address)


def test_an_address_of_another_machine_is_said_so() -> None:
    with pytest.raises(BindError, match="this machine has no such address; use one that it has"):
        open_listeners(["192.0.2.1:0"], environ={}, insecure_public=True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every port may be free for all")
def test_a_privileged_port_is_said_so() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 7:
        pytest.skip("this kernel has no privileged ports")
    with unprivileged():
        assert "port 7 is for privileged users; choose a port from 1024 up" in refusal("127.0.0.1:7")


def test_an_unknown_host_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "the host nowhere.example is not known here (Name or service not known)" in refusal("nowhere.example:9000")


# Who may connect


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "192.0.2.1:9000", pytest.param("[::]:0", marks=needs_ipv6)])
def test_beyond_loopback_nobody_listens_without_a_list_or_the_word(bind: str) -> None:
    message = refusal(bind, error=AddressError)
    assert "--allow IP" in message
    assert "--insecure-public" in message


@pytest.mark.parametrize(
    ("allow", "environ", "insecure", "passes"),
    [
        (["192.0.2.1"], {}, False, False),
        (["127.0.0.1"], {}, False, True),
        (["127.0.0.0/8"], {}, False, True),
        (None, {"FCGI_WEB_SERVER_ADDRS": "127.0.0.1,"}, False, True),
        (None, {"FCGI_WEB_SERVER_ADDRS": ""}, False, False),
        (None, {"FCGI_WEB_SERVER_ADDRS": "localhost"}, False, False),
        (None, {}, True, True),
        (["192.0.2.1"], {}, True, False),
        ([], {}, True, False),
    ],
)
def test_beyond_loopback_a_list_or_the_word_opens_and_the_list_decides(
    allow: list[str] | None, environ: dict[str, str], insecure: bool, passes: bool
) -> None:
    with listening("0.0.0.0:0", allow=allow, environ=environ, insecure_public=insecure) as (listener,):
        with socket.create_connection(("127.0.0.1", listener.socket.getsockname()[1])):
            connection, peer = accept(listener)
            connection.close()
        assert listener.allows(peer) is passes


def test_loopback_is_open_without_a_list_and_guarded_with_one() -> None:
    with listening("127.0.0.1:0") as (listener,):
        assert listener.allows(("127.0.0.1", 40000))
    with listening("127.0.0.1:0", allow=["127.0.0.2"]) as (listener,):
        assert not listener.allows(("127.0.0.1", 40000))
        assert not listener.allows(""), "a peer without an address does not pass a list"


def test_unix_peers_pass_every_list(sock_dir: Path) -> None:
    with listening(f"unix:{sock_dir}/s", environ={"FCGI_WEB_SERVER_ADDRS": ""}) as (listener,):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{sock_dir}/s")
            connection, peer = accept(listener)
            connection.close()
        assert listener.allows(peer)
        assert listener.is_unix
        assert listener.warnings == (), "a TCP list does not concern it"


def test_warnings_about_the_list_are_told_by_one_tcp_listener(sock_dir: Path) -> None:
    bind = f"unix:{sock_dir}/s", "127.0.0.1:0", "127.0.0.1:0"
    with listening(*bind, environ={"FCGI_WEB_SERVER_ADDRS": "localhost"}) as listeners:
        assert [len(listener.warnings) for listener in listeners] == [0, 2, 0]


def test_the_process_environment_is_asked_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FCGI_WEB_SERVER_ADDRS", "127.0.0.2")
    (listener,) = open_listeners("127.0.0.1:0")
    listener.close()
    assert listener.allows(("127.0.0.2", 1))
    assert not listener.allows(("127.0.0.1", 1))


# Unix, as far as this file's own part goes


def test_a_relative_path_is_made_absolute_so_that_a_change_of_directory_cannot_hurt(
    sock_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sock_dir)
    with listening("unix:s") as (listener,):
        assert listener.address == f"unix:{sock_dir}/s"
        monkeypatch.chdir("/")
    assert os.listdir(sock_dir) == []


def test_owner_and_group_go_by_name_or_number_and_the_mode_as_asked(sock_dir: Path) -> None:
    import grp
    import pwd

    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    for owner, owning_group in ((user, group), (str(os.geteuid()), str(os.getegid()))):
        (listener,) = open_listeners(
            f"unix:{sock_dir}/s", socket_mode=0o600, socket_owner=owner, socket_group=owning_group, environ={}
        )
        status = os.lstat(sock_dir / "s")
        listener.close()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (os.geteuid(), os.getegid(), 0o600)


def test_unknown_owner_group_and_impossible_mode_are_refused_before_anything_is_opened(sock_dir: Path) -> None:
    bind = f"unix:{sock_dir}/s"
    with pytest.raises(BindError, match="there is no user 'no such user' to own the socket; check --socket-owner"):
        open_listeners(bind, socket_owner="no such user", environ={})
    with pytest.raises(BindError, match="there is no group 'no such group' to own the socket; check --socket-group"):
        open_listeners(bind, socket_group="no such group", environ={})
    with pytest.raises(AddressError, match="the socket mode 0o1660 is not between"):
        open_listeners(bind, socket_mode=0o1660, environ={})
    assert os.listdir(sock_dir) == []


# All or none


def test_if_one_address_fails_the_others_are_closed_and_removed(sock_dir: Path) -> None:
    port = find_free_port()
    with pytest.raises(BindError, match="there is no directory"):
        open_listeners([f"unix:{sock_dir}/s", f"127.0.0.1:{port}", f"unix:{sock_dir}/no/s"], environ={})
    assert os.listdir(sock_dir) == []
    with listening(f"127.0.0.1:{port}"):
        pass


def test_a_wrongly_written_address_is_found_before_any_is_opened(
    sock_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "_open", lambda *_: pytest.fail("opened too early"))
    with pytest.raises(AddressError, match="did you mean"):
        open_listeners([f"unix:{sock_dir}/s", "9000"], environ={})


def test_the_same_path_twice_is_refused(sock_dir: Path) -> None:
    assert "a live server" in refusal(f"unix:{sock_dir}/s", f"unix:{sock_dir}/s")
    assert os.listdir(sock_dir) == []


def test_closing_again_is_harmless(sock_dir: Path) -> None:
    with listening(f"unix:{sock_dir}/s", "127.0.0.1:0") as listeners:
        for listener in listeners:
            listener.close()
            listener.close()
            assert listener.socket.fileno() == -1
