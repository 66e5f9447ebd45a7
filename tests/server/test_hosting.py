"""This file tests the place that a host gives to a program: whose word counts, about each thing."""

from __future__ import annotations

import os
import stat

import pytest

from penstock.connection.limits import Limits
from penstock.protocol.spec import Role
from penstock.server.homes import Home
from penstock.server.host import Host, Listening
from penstock.server.hosting import Wish, is_hosted, open_place, serves_by_itself, set_host
from penstock.server.options import ServerOptions


@pytest.fixture
def host(sock_dir, monkeypatch):
    """Makes hosts in a fresh current folder; closes what they have opened."""
    monkeypatch.chdir(sock_dir)
    made = []

    def host(*bind, home=Home.SHELL, options=None, mode=0o660, allow=None, told=None):
        listening = Listening(bind, mode, None, None, allow, False)
        made.append(Host(listening, options or ServerOptions(), home, lambda: None, told))
        return made[-1]

    yield host
    set_host(None)
    for each in made:
        each.close()


@pytest.fixture
def open_at(host):
    """The place that a wish gets, as soon as it is open; closed with the test."""
    places = []

    def open_at(given, wish):
        place = given.open(wish)
        if place is not None:
            places.append(place)
        return place

    yield open_at
    for place in places:
        for listener in place.listeners:
            listener.close()


def test_its_own_address_comes_first_then_the_programs_then_the_current_folders(host, open_at, sock_dir):
    wish = Wish(ServerOptions(), ("unix:wished",))
    assert open_at(host("unix:bound"), wish).listeners[0].address == f"unix:{sock_dir}/bound"
    assert open_at(host(), wish).listeners[0].address == f"unix:{sock_dir}/wished"
    assert open_at(host(), Wish(ServerOptions())).listeners[0].address == f"unix:{sock_dir}/penstock.sock"


def test_relative_addresses_of_the_host_belong_to_the_folder_it_was_made_in(host, open_at, sock_dir, tmp_path):
    hosts = host("unix:bound"), host()
    os.chdir(tmp_path)
    for given, name in zip(hosts, ("bound", "penstock.sock"), strict=True):
        assert open_at(given, Wish(ServerOptions())).listeners[0].address == f"unix:{sock_dir}/{name}"


def test_one_request_of_plain_cgi_is_left_to_a_program_without_an_address(host, open_at):
    assert open_at(host(home=Home.CGI), Wish(ServerOptions())) is None
    assert open_at(host(home=Home.CGI), Wish(ServerOptions(), ("unix:wished",))) is not None


def test_the_mode_is_the_hosts_unless_the_program_names_one(host, open_at):
    for wish, mode in ((Wish(ServerOptions(), ("unix:s",)), 0o600), (Wish(ServerOptions(), ("unix:s",), 0o606), 0o606)):
        place = open_at(host(mode=0o600), wish)
        assert stat.S_IMODE(os.stat("s").st_mode) == mode
        place.listeners[0].close()


def test_an_address_of_the_programs_that_is_open_to_all_is_obeyed_with_a_warning(host, open_at, caplog):
    open_at(host(), Wish(ServerOptions(), ("0.0.0.0:0",)))
    assert "everyone who reaches 0.0.0.0:" in caplog.text


@pytest.mark.parametrize(("allow", "wished"), [(["10.0.0.1"], None), (None, ["10.0.0.1"])])
def test_a_list_of_peers_is_the_hosts_or_the_programs(host, open_at, caplog, allow, wished):
    place = open_at(host(allow=allow), Wish(ServerOptions(), ("127.0.0.1:0",), allow=wished))
    assert place.listeners[0].allows(("10.0.0.1", 1))
    assert not place.listeners[0].allows(("10.0.0.2", 1))
    assert "everyone" not in caplog.text


def test_threads_and_limits_are_the_hosts_whatever_the_program_says(host, open_at):
    options = ServerOptions(threads=3, max_body=5, io_timeout=7.0)
    place = open_at(host(options=options), Wish(ServerOptions(threads=32, max_body=1, io_timeout=1.0)))
    assert (place.options.threads, place.options.max_body, place.options.io_timeout) == (3, 5, 7.0)


def test_a_program_that_stands_one_request_at_a_time_gets_one_thread_and_a_warning(host, open_at, caplog):
    place = open_at(host(options=ServerOptions(threads=3)), Wish(ServerOptions(), one_at_a_time=True))
    assert place.options.threads == 1
    assert "one thread, not 3" in caplog.text


def test_what_the_program_knows_best_is_its_own(host, open_at):
    wish = ServerOptions(mount="/own", roles=frozenset({Role.FILTER}), limits=Limits(requests=2), values={"A": "1"})
    options = open_at(host(), Wish(wish)).options
    assert (options.mount, options.roles, options.limits, options.values) == (
        "/own",
        {Role.FILTER},
        wish.limits,
        {"A": "1"},
    )
    options = open_at(host("unix:other", options=ServerOptions(mount="/ours")), Wish(wish)).options
    assert options.mount == "/ours"


def test_roles_and_protocol_are_the_hosts_where_the_program_has_the_usual_ones(host, open_at):
    given = ServerOptions(roles=frozenset({Role.AUTHORIZER}), protocol="scgi")
    options = open_at(host(options=given), Wish(ServerOptions())).options
    assert (options.roles, options.protocol) == ({Role.AUTHORIZER}, "scgi")
    options = open_at(host("unix:other"), Wish(given)).options
    assert (options.roles, options.protocol) == ({Role.AUTHORIZER}, "scgi")


def test_the_listener_is_lent_on_descriptor_0_until_somebody_takes_it(host, open_at, monkeypatch):
    before = os.fstat(0)
    given = host("unix:bound")
    given.lend()
    assert stat.S_ISSOCK(os.fstat(0).st_mode)
    assert os.get_blocking(0), "an old server may wait in accept()"
    place = open_at(given, Wish(ServerOptions()))
    assert os.path.samestat(os.fstat(0), before)
    assert not place.listeners[0].socket.getblocking()


def test_what_nobody_takes_is_closed_and_leaves_nothing(host, sock_dir):
    before = os.fstat(0)
    given = host("unix:bound")
    given.lend()
    given.close()
    assert os.path.samestat(os.fstat(0), before)
    assert not os.path.exists("bound")


def test_it_tells_where_it_listens_and_remembers_that_somebody_serves(host, open_at):
    told: list[object] = []
    given = host("unix:bound", told=told.append)
    assert not given.used
    place = open_at(given, Wish(ServerOptions()))
    assert given.used
    assert told == [place.listeners]


def test_without_a_host_there_is_no_place(host):
    assert not is_hosted()
    assert open_place(Wish(ServerOptions())) is None
    serves_by_itself()
    set_host(given := host())
    assert is_hosted()
    serves_by_itself()
    assert given.used
