"""This file holds three hosts, each in a namespace of its own, behind a load balancer: one dies, one is drained.

The text is what `penstock config SERVER --upstream ... --full` prints, penstock is started with the lines in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial

import pytest

import tests.faults.conftest as figures
from tests.cli.config.running import COMMANDS
from tests.conftest import require_binary
from tests.faults.measure import FULL, scaled
from tests.interop.namespaces import Host, Network, Unavailable, network
from tests.interop.scale import BACKEND, PORT, Cluster, Load
from tests.interop.unprivileged import make_scratch
from tests.manager.supervised import until
from tests.processes import Processes

CLIENTS = 8
BALANCERS = ("haproxy", "nginx", "caddy") if FULL else ("haproxy",)
GET_VALUES, GET_VALUES_RESULT = bytes.fromhex("0109000000000000"), bytes.fromhex("010a")
DEAD_SILENTLY = 60.0
"""Seconds after which nginx and Caddy give up on a host that says nothing (penstock's --io-timeout in their files)."""

haproxy_alone = pytest.mark.parametrize("server", ["haproxy"], indirect=True)
pytestmark = pytest.mark.timeout(600 if FULL else 120)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Keeps a figure for the table of tests/faults, where there is one, or else makes it."""
    manager = request.config.pluginmanager
    if figures.figures_key not in request.config.stash:
        manager.register(figures)

    def note(what: str, value: str) -> None:
        request.config.stash[figures.figures_key].append((what, value))
        request.node.user_properties.append((what, value))

    return note


@pytest.fixture(scope="module")
def lan() -> Iterator[Network]:
    """Three hosts and the front. A machine that allows no namespaces skips this, in CI too: nobody can mend it."""
    try:
        with network(3) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=BALANCERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def cluster(server: str, lan: Network) -> Iterator[Cluster]:
    """penstock with two workers on each host, and the balancer before them; each test leaves all three serving."""
    started, folder = Processes(), make_scratch()
    made = Cluster(started, lan, folder, server, "--workers", "2")
    for host in lan.hosts:
        made.serve(host)
    made.balance(require_binary(COMMANDS[server][0]), server)
    yield made
    started.end()
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def counted(request: pytest.FixtureRequest, server: str) -> None:
    """The summary counts the test for its balancer."""
    request.node.fixturenames = [*request.node.fixturenames, server]


def check(cluster: Cluster, load: Load, note: Callable[[str, str], None], what: str) -> set[int]:
    """No GET was lost, and no POST was run twice or only said to have been run; those that have been run."""
    note(f"{what}: GETs lost", f"{load.gets}; {load.repeated} repeated by the client")
    note(f"{what}: POSTs lost", str(load.posts))
    assert load.gets.failures == [], cluster.output()
    ran = cluster.ran()
    assert [number for number, times in ran.items() if times > 1] == []
    assert load.answered <= ran.keys()
    return set(ran)


def test_a_host_whose_processes_are_killed_loses_no_get_and_repeats_no_post(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for host in scaled(lan.hosts[:1], lan.hosts * 3):
            cluster.kill(host)
            load.wait_for(scaled(200, 500))
            cluster.serve(host)
            load.wait_for(10, [host])
    check(cluster, load, figure, f"{server}: killed")


def test_a_host_that_falls_silent_loses_no_get_and_repeats_no_post(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        lan.unplug(lan.hosts[0])
        cluster.kill(lan.hosts[0])  # with the power, too; nobody hears of it
        load.wait_for(200)
    lan.plug(lan.hosts[0])
    cluster.serve(lan.hosts[0])
    check(cluster, load, figure, f"{server}: silent")
    bound = 12 if server == "haproxy" else DEAD_SILENTLY + 12
    assert max(load.gets.seconds) < bound, "that is how long a request waits for a host that is silent"


def test_a_host_that_is_stopped_loses_no_get_and_no_post_that_it_has_begun(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for host in scaled(lan.hosts[:1], lan.hosts * 10):
            cluster.tell(host, "stop", "--wait")
            assert cluster.process(host).wait() == 0
            load.wait_for(scaled(50, 200))
            cluster.serve(host)
            load.wait_for(10, [host])
    ran = check(cluster, load, figure, f"{server}: stopped")
    # Caddy 2.6 repeats no POST, even if the host has refused it; but nobody has begun with it.
    assert not load.lost & ran


@haproxy_alone
def test_a_host_that_the_balancer_drains_before_it_is_stopped_loses_nothing_at_all(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for number, host in enumerate(scaled(lan.hosts[:1], lan.hosts * 10)):
            at = number % len(lan.hosts) + 1
            cluster.haproxy(f"set server {BACKEND}/s{at} state drain")
            assert until(partial(cluster.is_quiet, at))
            cluster.tell(host, "stop", "--wait")
            cluster.serve(host)
            cluster.haproxy(f"set server {BACKEND}/s{at} state ready")
            load.wait_for(10, [host])
    check(cluster, load, figure, f"{server}: drained, then stopped")
    assert load.posts.failures == [], cluster.output()


@haproxy_alone
def test_a_host_that_is_not_in_the_allow_list_is_turned_away(cluster, lan):
    def ask(host: Host) -> bytes:
        with closing(host.connect(lan.hosts[0].address, PORT)) as sock, suppress(ConnectionError):
            sock.sendall(GET_VALUES)
            return sock.recv(2)
        return b""

    assert ask(lan.front) == GET_VALUES_RESULT
    assert ask(lan.hosts[1]) == b""
