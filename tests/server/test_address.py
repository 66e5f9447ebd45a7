"""This file tests how ADDR is read: every form, and a helpful sentence for every wrong one."""

from __future__ import annotations

import pytest

from penstock.server.address import AddressError, FdAddress, TcpAddress, UnixAddress, join_host, parse_address, shown


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:/run/app.sock", "/run/app.sock"),
        ("unix:app.sock", "app.sock"),
        ("unix:./app.sock", "./app.sock"),
        ("unix:///run/app.sock", "/run/app.sock"),
        ("unix:/run/a:b.sock", "/run/a:b.sock"),
        ("unix:/run/\u00e9 x.sock", "/run/\u00e9 x.sock"),
        ("unix:9000", "9000"),
    ],
)
def test_a_unix_address_keeps_its_path_as_written(text: str, path: str) -> None:
    address = parse_address(text)
    assert isinstance(address, UnixAddress)
    assert address.path == path


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("localhost:9000", "localhost", 9000),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("app-1.example:65535", "app-1.example", 65535),
        ("[::1]:9000", "::1", 9000),
        ("[::]:80", "::", 80),
        ("[fe80::1%eth0]:9000", "fe80::1%eth0", 9000),
    ],
)
def test_a_tcp_address_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert isinstance(address, TcpAddress)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(("text", "number"), [("fd:0", 0), ("fd:3", 3), ("fd:017", 17)])
def test_an_inherited_descriptor_is_a_number(text: str, number: int) -> None:
    address = parse_address(text)
    assert isinstance(address, FdAddress)
    assert address.fd == number


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("", "write unix:/run/app.sock, 127.0.0.1:9000, [::1]:9000 or fd:3"),
        ("9000", "did you mean 127.0.0.1:9000?"),
        ("/tmp/x.sock", "did you mean unix:/tmp/x.sock?"),
        ("./x.sock", "did you mean unix:./x.sock?"),
        ("../x", "did you mean unix:../x?"),
        ("~/x.sock", "did you mean unix:~/x.sock?"),
        ("x.sock", "did you mean unix:x.sock?"),
        ("/tmp/odd:9000", "did you mean unix:/tmp/odd:9000?"),
        ("unix@/run/x.sock", "did you mean unix:/run/x.sock?"),
        ("unix/:/run/x.sock", "did you mean unix:/run/x.sock?"),
        ("unix//run/x.sock", "did you mean unix:/run/x.sock?"),
        ("tcp://127.0.0.1:9000/", "did you mean 127.0.0.1:9000?"),
        ("http://127.0.0.1:9000/app", "did you mean 127.0.0.1:9000?"),
        ("tcp:127.0.0.1:9000", "did you mean 127.0.0.1:9000?"),
        ("localhost", "did you mean localhost:9000?"),
        ("::1:9000", "did you mean [::1]:9000?"),
        ("[127.0.0.1]:9000", "did you mean 127.0.0.1:9000?"),
        ("[::1]", "write it as in [::1]:9000"),
        ("[::1]9000", "write it as in [::1]:9000"),
        ("[::1:9000", "write it as in [::1]:9000"),
        (":9000", "write 127.0.0.1:9000 for this machine only, or 0.0.0.0:9000 with --allow"),
        ("*:9000", "write 127.0.0.1:9000 for this machine only, or 0.0.0.0:9000 with --allow"),
        ("127.0.0.1:", "the port is missing"),
        ("127.0.0.1:65536", "a port is a number from 0 to 65535"),
        ("127.0.0.1:-1", "a port is a number from 0 to 65535"),
        ("127.0.0.1:+80", "a port is a number from 0 to 65535"),
        ("127.0.0.1:8_0", "a port is a number from 0 to 65535"),
        ("127.0.0.1:\u0661\u0662", "a port is a number from 0 to 65535"),
        ("127.0.0.1:1" + "0" * 5000, "a port is a number from 0 to 65535"),
        ("lo cal:9000", "a host is an IP address or an ASCII name"),
        ("h\u00f6st:9000", "a host is an IP address or an ASCII name"),
        ("UNIX/x:90", "a host is an IP address or an ASCII name"),
        ("unix:", "write it after the colon, as in unix:/run/app.sock"),
        ("unix:/run/", "name a file in it, as in unix:/run/app.sock"),
        ("unix:@app", "abstract sockets have no permissions"),
        ("unix:/run/a\0b", "a path cannot hold a NUL byte"),
        ("fd:", "write it as in fd:3"),
        ("fd:-1", "write it as in fd:3"),
        ("fd:stdin", "write it as in fd:3"),
        ("fd:99999999999999999999", "write it as in fd:3"),
        ("systemd:", "write fd:3 for the first one it passes"),
    ],
)
def test_a_wrong_address_is_answered_with_the_mend(text: str, mend: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert mend in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_address_is_a_value_error_for_callers_that_know_no_more() -> None:
    with pytest.raises(ValueError, match="is no address to listen at"):
        parse_address("9000")


def test_an_address_error_never_repeats_control_characters() -> None:
    with pytest.raises(AddressError) as caught:
        parse_address("/tmp/\x1b]2;x\x07\u202e.sock")
    assert str(caught.value).isprintable()


def test_shown_escapes_only_what_is_unprintable() -> None:
    assert shown("/tmp/\u00e9.sock") == "/tmp/\u00e9.sock"
    assert shown("a\nb") == r"'a\nb'"
    assert shown("\udcff") == r"'\udcff'"


def test_join_host_gives_brackets_to_ipv6_alone() -> None:
    assert join_host("::1", 9) == "[::1]:9"
    assert join_host("127.0.0.1", 9) == "127.0.0.1:9"
