"""This file sends too much: parameters over their limits (T20), a huge upload (T22), a body for a full disk (T23)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from penstock.protocol.spec import RecordType
from penstock.testing import build
from tests.faults.measure import KIB, MIB, Meter, scaled
from tests.faults.peer import Peer, params, request
from tests.interop.backend import PLAIN, Backend, Gate, start

HELLO = b"hello, world\n"
LIMIT = MIB
"""Bytes of PARAMS that one connection may have open."""
BLOCK = bytes(range(256)) * 4096


@pytest.fixture
def backend(processes, sock_dir):
    served = start(processes, "--no-access-log", bind=(f"unix:{sock_dir}/app",), app=PLAIN)
    yield served
    served.check_sound()
    assert served.process.stop() == 0


def growth(backend: Backend, wire: Iterator[bytes]) -> int:
    """Send this as one connection; how many bytes the server's memory grew at most meanwhile."""
    meter = Meter(backend.pid)
    with Peer(backend) as peer:
        assert peer.ask("/hello") == HELLO
        base = meter.rss
        meter.forget_peak()
        for piece in wire:
            peer.send(piece)
        while peer.record() is not None:
            continue
        return meter.peak - base


def test_parameters_of_200_kb_pass(backend):
    large = {f"HTTP_X_{number}": "x" * 2000 for number in range(100)}
    with Peer(backend) as peer:
        wire = build.begin() + build.params({**params("/show"), **large}) + build.stdin()
        assert json.loads(peer.send(wire).answer().body).items() >= large.items()


def oversized(what: str) -> tuple[Iterator[bytes], str]:
    """A request on the wire, whose connection is not kept, and what the log says of it."""
    begin, end = build.begin(flags=0), build.params() + build.stdin()
    long = b"\xff\xff\xff\xff"  # announces 2 GiB
    sent = {
        "16 MiB of PARAMS": [build.record(RecordType.PARAMS, 1, bytes(65535))] * 257,
        "a name of 1 MiB": [build.params({"X" * MIB: "y"}, end=False)],
        "100,000 pairs": [build.params({f"{number:x}": "" for number in range(100_000)}, end=False)],
        "a name that announces 2 GiB": [build.record(RecordType.PARAMS, 1, long + b"\1" + b"X" * 100)],
        "a value that announces 2 GiB": [build.record(RecordType.PARAMS, 1, b"\1" + long + b"X" * 100)],
    }[what]
    return iter([begin, *sent, end]), "closed for a protocol error" if "announces" in what else "answered|refused"


@pytest.mark.parametrize(
    "what",
    [
        "16 MiB of PARAMS",
        "a name of 1 MiB",
        "100,000 pairs",
        "a name that announces 2 GiB",
        "a value that announces 2 GiB",
    ],
)
def test_what_is_over_a_limit_is_refused_before_memory_is_taken_for_it(backend, what, figure):
    wire, log = oversized(what)
    grown = growth(backend, wire)
    backend.process.wait_for(log)
    assert grown < 2 * LIMIT
    figure(f"T20: {what}: memory grows by", f"{grown // KIB} KiB")


@pytest.mark.parametrize("what", ["16 MiB of PARAMS", "a name of 1 MiB", "100,000 pairs"])
def test_too_many_parameters_are_a_431_and_a_kept_connection_goes_on(backend, what):
    with Peer(backend) as peer:
        wire, _ = oversized(what)
        next(wire)
        peer.send(build.begin())
        for piece in wire:
            peer.send(piece)
        assert peer.answer().status.startswith("431 ")
        assert peer.ask("/hello") == HELLO


@pytest.mark.parametrize("known", [True, False], ids=["announced", "as it comes"])
def test_a_body_over_the_limit_is_a_413_and_its_rest_costs_nothing(processes, sock_dir, known):
    backend = start(processes, "--max-body", "1m", bind=(f"unix:{sock_dir}/app",), app=PLAIN)
    meter = Meter(backend.pid)
    with Peer(backend) as peer:
        assert peer.ask("/hello") == HELLO
        base = meter.rss
        meter.forget_peak()
        peer.send(build.begin(), build.params(params("/echo", "POST", 64 * MIB if known else None)))
        for _ in range(64):
            peer.send(build.stdin(BLOCK, end=False))
        assert peer.send(build.stdin()).answer().status.startswith("413 ")
        assert peer.ask("/hello") == HELLO
    assert meter.peak - base < 4 * MIB
    assert backend.process.stop() == 0


@pytest.mark.parametrize("options", [(), ("--stream-body",)], ids=["received first", "as it comes"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length known", "length unknown"])
def test_a_huge_upload_arrives_whole_and_takes_no_memory(processes, sock_dir, tmp_path, options, chunked, figure):
    size = scaled(128, 1024) * MIB
    address = f"unix:{sock_dir}/app"
    backend = start(processes, "--max-body", "2g", *options, bind=(address,), app=PLAIN, env={"TMPDIR": str(tmp_path)})
    meter = Meter(backend.pid)
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for _ in range(size // len(BLOCK)):
            digest.update(BLOCK)
            yield BLOCK

    with backend.client() as client:
        assert json.loads(client.request("POST", "/echo", body=b"small").body)["length"] == 5
        base = meter.rss
        meter.forget_peak()
        headers = () if chunked else (("Content-Length", str(size)),)
        said = json.loads(client.request("POST", "/echo", headers, pieces()).body)
    grown = meter.peak - base
    assert (said["length"], said["sha256"]) == (size, digest.hexdigest())
    assert grown <= 16 * MIB
    assert os.listdir(tmp_path) == []
    how = f"{'--stream-body, ' if options else ''}{'without' if chunked else 'with'} length"
    figure(f"T22: upload of {size // MIB} MiB, {how}: memory grows by", f"{grown / MIB:.1f} MiB, SHA-256 equal")
    assert backend.process.stop() == 0


def test_a_body_that_is_kept_in_a_file_has_no_name_and_is_given_back(processes, sock_dir, tmp_path):
    address = f"unix:{sock_dir}/app"
    backend = start(processes, bind=(address,), app=PLAIN, env={"TMPDIR": str(tmp_path)})
    meter = Meter(backend.pid)
    before = meter.descriptors
    with Peer(backend) as peer:
        with Gate(sock_dir) as gate:
            peer.send(request(f"/wait?gate={gate.path}", bytes(2 * MIB)))
            gate.arrivals()
            assert os.listdir(tmp_path) == []
            assert [link for link in meter.links() if link.startswith(str(tmp_path)) and link.endswith("(deleted)")]
            gate.open()
            assert peer.answer().body == b"passed\n"
        assert peer.ask("/hello") == HELLO
        assert meter.descriptors == before + 1
    assert backend.process.stop() == 0


@contextlib.contextmanager
def tiny_disk(folder) -> Iterator[bool]:
    """A file system of 2 MiB at `folder`, where we may make one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "penstock-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("full", ["file size limit", "full disk"])
def test_a_body_that_finds_no_room_is_a_507_and_the_server_goes_on(processes, sock_dir, tmp_path, full):
    wrapper = ("sh", "-c", 'ulimit -f 4096; exec "$@"', "sh") if full == "file size limit" else ()
    with tiny_disk(tmp_path) if full == "full disk" else contextlib.nullcontext(True) as there_is_one:
        if not there_is_one:
            pytest.skip("only root may mount a small file system")
        env = {"TMPDIR": str(tmp_path)}
        backend = start(processes, bind=(f"unix:{sock_dir}/app",), app=PLAIN, wrapper=wrapper, env=env)
        with Peer(backend) as peer, Peer(backend) as other:
            # Another body is on its way meanwhile: it has room, and keeps it.
            other.send(build.begin(), build.params(params("/echo", "POST", MIB)), build.stdin(BLOCK[:-1], end=False))
            assert peer.send(request("/echo", BLOCK * 4)).answer().status.startswith("507 ")
            assert json.loads(other.send(build.stdin(BLOCK[-1:])).answer().body)["length"] == MIB
            # The room is given back: what fits is taken again, on the same connection.
            assert json.loads(peer.ask("/echo", BLOCK + BLOCK[: MIB // 2]))["length"] == MIB * 3 // 2
        backend.check_sound()
        assert backend.process.stop() == 0
