"""This file decides which TCP peers may talk to us: `--allow`, or FCGI_WEB_SERVER_ADDRS from the environment.

FastCGI knows no password, so the address is all there is. Unix sockets have a mode and an owner instead, and their
peers are never asked (the specification's section 3.2 would refuse them, libfcgi and PHP do not).

`ipaddress` costs about a millisecond to import and is needed only when a list exists: it is imported in functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, final

from penstock.server.address import AddressError, shown

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

VARIABLE: Final = "FCGI_WEB_SERVER_ADDRS"
"""The one environment variable the specification defines (section 3.2)."""

_REMEMBERED: Final = 1024
"""Verdicts kept by address text; a bound, so that a swarm of peers cannot grow it."""


@final
class AllowList:
    """A fixed set of hosts and networks; asking is one dict lookup for a peer seen before."""

    __slots__ = ("_hosts", "_networks", "_verdicts")

    def __init__(
        self, hosts: Iterable[IPv4Address | IPv6Address] = (), networks: Iterable[IPv4Network | IPv6Network] = ()
    ) -> None:
        self._hosts = frozenset(hosts)
        self._networks = tuple(networks)
        self._verdicts: dict[str, bool] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no peer at all can pass."""
        return not self._hosts and not self._networks

    def allows(self, host: str) -> bool:
        """Whether a peer passes whose numeric address is `host`, as `accept()` returns it."""
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._decide(host)
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            self._verdicts[host] = verdict
        return verdict

    def _decide(self, host: str) -> bool:
        from ipaddress import ip_address

        try:
            address = _fold(ip_address(host.partition("%")[0]))
        except ValueError:
            return False
        return address in self._hosts or any(address in network for network in self._networks)


def read_allow_list(
    allow: Sequence[str] | None, environ: Mapping[str, str]
) -> tuple[AllowList | None, tuple[str, ...]]:
    """Return the list in force (None: there is none) and warnings about it, each one sentence.

    Args:
        allow: the words of `--allow`; None when it was not given, and then the environment speaks. An empty sequence
            is an empty list: it refuses every TCP peer.
        environ: where FCGI_WEB_SERVER_ADDRS may be; its unreadable entries are left out, and a list
            without a single good entry refuses every TCP peer.

    Raises:
        AddressError: a word of `allow` is neither an IP address nor a network.
    """
    if allow is not None:
        given = build_allow_list(allow)
        return given, ("the allow-list is empty: every TCP peer is refused",) if given.is_empty else ()
    value = environ.get(VARIABLE)
    if value is None:
        return None, ()
    good: list[str] = []
    warnings: list[str] = []
    for word in filter(None, map(str.strip, value.split(","))):
        try:
            _read_entry(word)
        except AddressError as error:
            warnings.append(f"{VARIABLE}: {error}; the entry is ignored")
        else:
            good.append(word)
    if not good:
        warnings.append(f"{VARIABLE} is set and names no IP address: every TCP peer is refused")
    return build_allow_list(good), tuple(warnings)


def build_allow_list(words: Iterable[str]) -> AllowList:
    """Make a list of IPv4 and IPv6 addresses and networks (`10.0.0.0/8`).

    Raises:
        AddressError: with the first word that is neither.
    """
    hosts: list[IPv4Address | IPv6Address] = []
    networks: list[IPv4Network | IPv6Network] = []
    for word in words:
        host, network = _read_entry(word)
        if host is not None:
            hosts.append(host)
        if network is not None:
            networks.append(network)
    return AllowList(hosts, networks)


def _read_entry(word: str) -> tuple[IPv4Address | IPv6Address | None, IPv4Network | IPv6Network | None]:
    from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

    word = word.strip()
    if "%" in word:
        # Peers are compared without their zone, so keeping it here would promise more than is checked.
        raise AddressError(f"{shown(word)!r} cannot be allowed with a zone; leave out everything from the % on")
    try:
        if "/" not in word:
            return _fold(ip_address(word)), None
        network: IPv4Network | IPv6Network = ip_network(word, strict=False)
    except ValueError:
        raise AddressError(
            f"{shown(word)!r} is neither an IP address nor a network; write it as in 192.0.2.10 or 192.0.2.0/24"
        ) from None
    start = ip_address(word.partition("/")[0])
    if start != network.network_address:
        raise AddressError(f"{shown(word)!r} is a host with the width of a network; did you mean {network} or {start}?")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return None, IPv4Network((mapped, network.prefixlen - 96))
    return None, network


def _fold(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Turn ::ffff:192.0.2.1, which a dual-stack socket reports, into 192.0.2.1."""
    from ipaddress import IPv6Address

    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
