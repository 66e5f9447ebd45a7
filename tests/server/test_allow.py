"""This file tests who passes the allow-list, with the vectors that other servers once got wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.server.address import AddressError
from penstock.server.allow import AllowList, build_allow_list, read_allow_list
from tests.processes import environment


def test_without_list_and_variable_there_is_no_list() -> None:
    assert read_allow_list(None, {}) == (None, ())


@pytest.mark.parametrize(
    ("words", "host", "passes"),
    [
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "127.0.0.2", False),
        (["127.0.0.1"], "::ffff:127.0.0.1", True),
        (["::ffff:127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "::127.0.0.1", False),
        (["::1"], "::1", True),
        (["::1"], "::1:0:0:1", False),
        (["::1:0:0:1"], "::1", False),
        (["2001:DB8:0:0::1"], "2001:db8::1", True),
        (["2001:db8::1"], "2001:db8::1:0:0:0:1", False),
        (["fe80::1"], "fe80::1%eth0", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "10.1.2.3", True),
        (["::ffff:10.0.0.0/104"], "11.1.2.3", False),
        (["2001:db8::/32"], "2001:db8:ffff::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["::/0"], "192.0.2.1", False),
        (["0.0.0.0/0"], "192.0.2.1", True),
        ([" 192.0.2.1 "], "192.0.2.1", True),
        (["192.0.2.1/32"], "192.0.2.1", True),
        (["192.0.2.1", "2001:db8::1"], "2001:db8::1", True),
        (["127.0.0.1"], "", False),
        (["127.0.0.1"], "localhost", False),
        ([], "127.0.0.1", False),
    ],
)
def test_a_peer_passes_by_all_bits_of_its_address(words: list[str], host: str, passes: bool) -> None:
    allowed = build_allow_list(words)
    assert allowed.allows(host) is passes
    assert allowed.allows(host) is passes, "the remembered verdict is the same"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("localhost", "write it as in 192.0.2.10 or 192.0.2.0/24"),
        ("", "neither an IP address nor a network"),
        ("127.1", "neither"),
        ("010.0.0.1", "neither"),
        ("1", "neither"),
        ("127.0.0.1:9000", "neither"),
        ("127.0.0.1,", "neither"),
        ("10.0.0.0/33", "neither"),
        ("10.0.0.0/", "neither"),
        ("10.0.0.5/8", "did you mean 10.0.0.0/8 or 10.0.0.5?"),
        ("fe80::1%eth0", "leave out everything from the % on"),
        ("\x1b[2J", "neither"),
    ],
)
def test_a_wrong_word_of_allow_is_refused_with_a_hint(word: str, hint: str) -> None:
    with pytest.raises(AddressError) as caught:
        read_allow_list([word], {})
    assert hint in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["", " ", ",", ",,", "localhost", "127.0.0.1:80", "::1:0:0:1:2:3:4:5:6"])
def test_a_variable_without_any_address_refuses_every_peer_and_warns(value: str) -> None:
    allowed, warnings = read_allow_list(None, {"FCGI_WEB_SERVER_ADDRS": value})
    assert allowed is not None
    assert allowed.is_empty
    assert not allowed.allows("127.0.0.1")
    assert not allowed.allows("::1")
    assert warnings[-1] == "FCGI_WEB_SERVER_ADDRS is set and names no IP address: every TCP peer is refused"


@pytest.mark.parametrize("value", ["127.0.0.1", "127.0.0.1,", ",127.0.0.1", " 127.0.0.1 , "])
def test_empty_entries_of_the_variable_do_not_matter(value: str) -> None:
    allowed, warnings = read_allow_list(None, {"FCGI_WEB_SERVER_ADDRS": value})
    assert allowed is not None
    assert allowed.allows("127.0.0.1")
    assert not allowed.allows("127.0.0.2")
    assert warnings == ()


def test_a_bad_entry_of_the_variable_is_ignored_with_a_warning_and_opens_nothing() -> None:
    allowed, warnings = read_allow_list(None, {"FCGI_WEB_SERVER_ADDRS": "localhost,192.0.2.1,10.0.0.0/8"})
    assert allowed is not None
    assert [allowed.allows(host) for host in ("127.0.0.1", "192.0.2.1", "10.9.9.9")] == [False, True, True]
    assert len(warnings) == 1
    assert "'localhost'" in warnings[0]
    assert "ignored" in warnings[0]


def test_words_of_allow_win_over_the_variable() -> None:
    allowed, warnings = read_allow_list(["192.0.2.1"], {"FCGI_WEB_SERVER_ADDRS": "192.0.2.2"})
    assert allowed is not None
    assert allowed.allows("192.0.2.1")
    assert not allowed.allows("192.0.2.2")
    assert warnings == ()


def test_an_empty_allow_refuses_every_peer_and_warns() -> None:
    allowed, warnings = read_allow_list([], {})
    assert allowed is not None
    assert allowed.is_empty
    assert warnings == ("the allow-list is empty: every TCP peer is refused",)


def test_a_peer_seen_before_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    decide = AllowList._decide

    def counting(self: AllowList, host: str) -> bool:
        judged.append(host)
        return decide(self, host)

    monkeypatch.setattr(AllowList, "_decide", counting)
    allowed = build_allow_list(["10.0.0.0/8"])
    for _ in range(5):
        assert allowed.allows("10.0.0.1")
        assert not allowed.allows("11.0.0.1")
    assert judged == ["10.0.0.1", "11.0.0.1"]


def test_a_swarm_of_peers_does_not_grow_the_memory_of_verdicts() -> None:
    allowed = build_allow_list(["10.0.0.0/8"])
    for number in range(5000):
        assert allowed.allows(f"10.0.{number >> 8}.{number & 255}")
    assert len(allowed._verdicts) <= 1024


def test_importing_the_listeners_does_not_import_ipaddress() -> None:
    code = "import sys, penstock.server.listen; sys.exit('ipaddress' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
