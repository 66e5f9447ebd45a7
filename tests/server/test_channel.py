"""Tests of one connection: who keeps its descriptor alive, when it ends, and that an end never cuts an answer."""

from __future__ import annotations

import socket
import threading

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.server.channel import LINGER_IDLE, Channel
from penstock.server.quiet import has_input
from penstock.server.timers import Timers
from penstock.testing import build
from tests.processes import PATIENCE


class Hub:
    """A server that only remembers what channels ask of it."""

    def __init__(self, shared: bool) -> None:
        self.timers = Timers()
        self.now = 100.0
        self.timers.clock = lambda: self.now
        self.io_timeout = 10.0
        self.shared = shared
        self.crowded = False
        self.watched: dict[int, object] = {}
        self.armed = 0
        self.discarded: list[Channel] = []
        self.stalls: list[Channel] = []

    def receive(self, channel):
        raise AssertionError("not asked for here")

    def watch(self, fd, on_ready):
        assert fd not in self.watched, "watched twice"
        self.watched[fd] = on_ready

    def rearm(self, fd):
        assert fd in self.watched
        self.armed += 1

    def unwatch(self, fd):
        del self.watched[fd]

    def give_away(self, sock):
        return False

    def discard(self, channel):
        self.discarded.append(channel)

    def stalled(self, channel):
        self.stalls.append(channel)


class Tenant:
    """A request that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def starve(self):
        self.told.append("starve")

    def cut(self):
        self.told.append("cut")

    def forget(self):
        self.told.append("forget")


@pytest.fixture(params=[False, True], ids=["one thread", "shared"])
def hub(request):
    return Hub(request.param)


@pytest.fixture
def peer():
    made, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    yield made, theirs
    made.close()
    theirs.close()


@pytest.fixture
def channel(hub, peer):
    return Channel(peer[0], ApplicationConnection(), hub)


def ended(peer) -> bool:
    """Whether the other end reads the end of the stream."""
    return peer[1].recv(10) == b""


def resting(channel: Channel) -> Channel:
    channel.rest()
    return channel


class TestUsers:
    def test_closing_waits_for_whoever_is_inside(self, hub, channel, peer):
        assert channel.enter()
        channel.hold()
        channel.close()
        if not hub.shared:
            assert channel.closed
            return
        assert not channel.closed
        assert channel.sock.fileno() == channel.fd
        assert ended(peer)  # though nothing is sent or read any more
        assert not channel.enter()
        channel.leave()
        assert not channel.closed
        channel.leave()
        assert channel.closed
        assert channel.sock.fileno() == -1
        assert hub.discarded == [channel]

    def test_closing_twice_is_closing_once(self, hub, channel):
        channel.close()
        channel.close()
        assert hub.discarded == [channel]
        assert not channel.enter()

    def test_a_channel_is_disposed_of_once_however_many_close_it(self, peer):
        for _ in range(200):
            hub = Hub(True)
            ours, theirs = socket.socketpair()
            channel = resting(Channel(ours, ApplicationConnection(), hub))
            go = threading.Barrier(4, timeout=PATIENCE)

            def use(channel=channel, go=go) -> None:
                go.wait()
                if channel.enter():
                    channel.close()
                    channel.leave()
                channel.close()

            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            theirs.close()
            assert hub.discarded == [channel]
            assert hub.watched == {}
            assert channel.closed

    def test_tenants_hear_of_the_end(self, channel):
        tenant = Tenant()
        channel.open.add(tenant)
        channel.close()
        assert tenant.told == ["cut", "forget"]


class TestWatching:
    def test_rest_hands_it_to_the_poller_and_again_arms_it(self, hub, channel):
        resting(resting(channel))
        assert list(hub.watched) == [channel.fd]
        assert hub.armed == 1
        channel.unwatch()
        channel.unwatch()
        assert hub.watched == {}
        channel.rest()
        assert list(hub.watched) == [channel.fd]
        channel.close()
        assert hub.watched == {}

    @pytest.mark.parametrize("why", ["closing", "doomed", "at_eof"])
    def test_rest_leaves_alone_what_is_over(self, hub, channel, why):
        setattr(channel, why, True)
        channel.rest()
        assert hub.watched == {}

    def test_rest_leaves_alone_what_a_handler_reads(self, hub, channel):
        class Reader:
            pumps = False
            starving = True

        reader = Reader()
        channel.stream_bodies(lambda: None)
        assert channel.pump is not None
        channel.pump.join(reader)
        channel.rest()
        assert hub.watched == {}
        channel.pump.leave(reader)
        assert list(hub.watched) == [channel.fd]


class TestSettling:
    def test_a_kept_idle_connection_goes_on(self, channel):
        channel.settle()
        assert not channel.closing

    @pytest.mark.parametrize("why", ["doomed", "at_eof", "broken", "must_close"])
    def test_nothing_ends_before_the_last_answer_is_out(self, channel, why):
        tenant = Tenant()
        channel.open.add(tenant)
        if why == "broken":
            channel.out.broken = True
        elif why == "must_close":
            channel.protocol.receive_data(build.begin(flags=0))
            channel.protocol.finish(1)  # taken, but not sent yet
            assert channel.protocol.must_close
        else:
            setattr(channel, why, True)
        channel.settle()
        assert not channel.closing
        assert channel.sock.fileno() >= 0
        channel.open.discard(tenant)
        channel.settle()
        assert channel.over

    def test_input_that_may_still_come_is_read_before_the_end(self, hub, channel, peer):
        channel.protocol.receive_data(build.begin(flags=0))
        channel.out.send(channel.protocol.finish(1, b"early"))
        peer[1].send(b"unread")
        channel.settle()
        assert peer[1].recv(100).endswith(bytes(8))
        assert ended(peer)
        assert not channel.closing
        hub.watched[channel.fd]()
        peer[1].send(b"more")
        hub.watched[channel.fd]()
        assert not channel.closing
        peer[1].shutdown(socket.SHUT_WR)
        hub.watched[channel.fd]()
        assert channel.closed

    def test_among_too_many_an_idle_one_is_closed_unless_something_waits_unread(self, hub, channel, peer):
        hub.crowded = True
        peer[1].send(b"x")
        channel.settle()
        assert not channel.closing
        peer[0].recv(1)
        channel.settle()
        assert channel.closed


class TestDoom:
    def test_reads_no_more_and_tells_those_who_wait_for_input(self, hub, channel):
        tenant = Tenant()
        channel.open.add(tenant)
        hub.timers.set(channel, 5)
        resting(channel).doom()
        assert (channel.doomed, channel.closing) == (True, False)
        assert tenant.told == ["starve"]
        assert hub.watched == {}
        assert not hub.timers

    def test_does_not_disturb_a_lingering_end(self, hub, channel):
        channel.linger()
        channel.doom()
        assert channel in hub.timers
        assert list(hub.watched) == [channel.fd]


class TestLingering:
    def test_ends_when_nothing_comes_for_a_while(self, hub, channel):
        channel.linger()
        channel.linger()
        hub.now += LINGER_IDLE
        assert hub.timers.due() == [channel]
        channel.on_deadline()
        assert channel.closed

    def test_ends_for_a_peer_that_sends_for_ever(self, hub, channel, peer):
        channel.linger()
        steps = 0
        while not channel.closed:
            peer[1].send(b"x")
            hub.now += 1
            assert hub.timers.due() == []
            channel.on_ready()
            steps += 1
        assert steps == 11

    def test_cuts_the_requests_that_are_open(self, channel):
        tenant = Tenant()
        channel.open.add(tenant)
        channel.linger()
        assert tenant.told == ["cut"]
        channel.open.clear()
        channel.out.broken = True
        channel.settle()
        assert not channel.closing  # what was sent before is still to be read

    def test_of_a_peer_that_is_gone_is_a_close(self, channel, peer):
        peer[1].close()
        channel.linger()
        channel.on_ready() if not channel.closing else None
        assert channel.closed


class TestDeadlines:
    def test_that_were_moved_meanwhile_do_nothing(self, hub, channel):
        hub.timers.set(channel, 1)
        hub.now += 1
        assert hub.timers.due() == [channel]
        hub.timers.set(channel, 1)
        channel.on_deadline()
        assert hub.stalls == []
        hub.timers.clear(channel)
        channel.on_deadline()
        assert hub.stalls == [channel]

    def test_of_a_closed_channel_do_nothing(self, hub, channel):
        channel.close()
        channel.on_deadline()
        assert hub.stalls == []


def test_a_reset_is_the_end_of_the_input():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
        channel = Channel(ours, ApplicationConnection(), Hub(False))
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        assert channel.receive() == b""
        assert channel.out.broken
        assert not has_input(channel.sock)
        channel.close()
