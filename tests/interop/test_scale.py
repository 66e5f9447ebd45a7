"""This file holds three hosts, each in a network namespace of its own, behind a load balancer: one dies, one is drained.

The text is what `penstock config SERVER --upstream ... --full` prints, penstock is started with the lines in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

import tests.faults.conftest as figures
from tests.faults.measure import FULL, scaled
from tests.interop.namespaces import Host, Network, Unavailable, network
from tests.interop.scale import BACKEND, PORT, Cluster, Load
from tests.interop.unprivileged import make_scratch
from tests.manager.supervised import until
from tests.processes import Processes

CLIENTS = 8
BALANCERS = ("haproxy", "nginx", "caddy")
GET_VALUES, GET_VALUES_RESULT = bytes.fromhex("0109000000000000"), bytes.fromhex("010a")
DEAD_SILENTLY = 60.0
"""Seconds after which nginx and Caddy give up on a host that says nothing (penstock's --io-timeout in their files)."""

pytestmark = pytest.mark.timeout(600 if FULL else 120)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Keeps a figure for the table of tests/faults, also where none of those tests run."""
    manager = request.config.pluginmanager
    if figures.figures_key not in request.config.stash:
        manager.register(figures)

    def note(what: str, value: str) -> None:
        request.config.stash[figures.figures_key].append((what, value))
        request.node.user_properties.append((what, value))

    return note


@pytest.fixture
def lan() -> Iterator[Network]:
    """Three hosts and the front. A machine that has no namespaces for us is left out, in CI too: it cannot be mended here."""
    try:
        with network(3) as made:
            yield made
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def scratch(processes: Processes) -> Iterator[Path]:
    """A folder that every user can enter; what runs in it ends before it goes."""
    folder = make_scratch()
    yield folder
    processes.end()
    shutil.rmtree(folder)


@pytest.fixture(params=BALANCERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cluster(request: pytest.FixtureRequest, server: str, lan: Network, scratch: Path, processes: Processes) -> Cluster:
    """penstock with two workers on each host, and the balancer before them."""
    program = request.getfixturevalue(server)
    made = Cluster(processes, lan, scratch, server, "--workers", "2")
    for host in lan.hosts:
        made.serve(host)
    made.balance(program, server)
    return made


def check(cluster: Cluster, load: Load) -> None:
    """No GET was lost, and no POST was run twice or only said to have been run."""
    assert load.gets.failures == [], cluster.output()
    ran = cluster.ran()
    assert [number for number, times in ran.items() if times > 1] == []
    assert load.answered <= ran.keys()


def test_a_host_whose_processes_are_killed_loses_no_get_and_repeats_no_post(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for host in scaled(lan.hosts[:1], lan.hosts * 3):
            cluster.kill(host)
            load.wait_for(scaled(200, 500))
            cluster.serve(host)
            load.wait_for(10, [host])
    check(cluster, load)
    figure(f"{server}: killed: GETs lost", str(load.gets))
    figure(f"{server}: killed: POSTs lost", str(load.posts))


@pytest.mark.parametrize("server", BALANCERS if FULL else BALANCERS[:1], indirect=True)
def test_a_host_that_falls_silent_loses_no_get_and_repeats_no_post(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        lan.unplug(lan.hosts[0])
        cluster.kill(lan.hosts[0])  # with the power, too; nobody hears of it
        load.wait_for(200)
    check(cluster, load)
    bound = 12 if server == "haproxy" else DEAD_SILENTLY + 12
    assert max(load.gets.seconds) < bound, "that is how long a request waits for a host that is silent"
    figure(f"{server}: silent: GETs lost", str(load.gets))
    figure(f"{server}: silent: POSTs lost", str(load.posts))


def test_a_host_that_is_stopped_loses_nothing_that_it_was_sent(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for host in scaled(lan.hosts[:1], lan.hosts * 10):
            cluster.tell(host, "stop", "--wait")
            assert cluster.process(host).wait() == 0
            load.wait_for(scaled(50, 200))
            cluster.serve(host)
            load.wait_for(10, [host])
    check(cluster, load)
    figure(f"{server}: stopped: GETs lost", str(load.gets))
    figure(f"{server}: stopped: POSTs lost", str(load.posts))


@pytest.mark.parametrize("server", BALANCERS[:1], indirect=True)
def test_a_host_that_the_balancer_drains_before_it_is_stopped_loses_nothing_at_all(server, cluster, lan, figure):
    with Load(lan.front, CLIENTS) as load:
        load.wait_for(20, lan.hosts)
        for number, host in enumerate(scaled(lan.hosts[:1], lan.hosts * 10)):
            at = number % len(lan.hosts) + 1
            cluster.haproxy(f"set server {BACKEND}/s{at} state drain")
            assert until(lambda at=at: cluster.running(at) == 0)
            cluster.tell(host, "stop", "--wait")
            cluster.serve(host)
            cluster.haproxy(f"set server {BACKEND}/s{at} state ready")
            load.wait_for(10, [host])
    check(cluster, load)
    assert load.posts.failures == [], cluster.output()
    figure(f"{server}: drained, then stopped: GETs lost", str(load.gets))
    figure(f"{server}: drained, then stopped: POSTs lost", str(load.posts))


@pytest.mark.parametrize("server", BALANCERS[:1], indirect=True)
def test_a_host_that_is_not_in_the_allow_list_is_turned_away(cluster, lan):
    def ask(host: Host) -> bytes:
        with closing(host.connect(lan.hosts[0].address, PORT)) as sock, suppress(ConnectionError):
            sock.sendall(GET_VALUES)
            return sock.recv(2)
        return b""

    assert ask(lan.front) == GET_VALUES_RESULT
    assert ask(lan.hosts[1]) == b""
