"""This file tests filters over real sockets: stdin and then data, short data, long data, received first or streamed."""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from penstock.gateways.handler_request import ShortData
from penstock.gateways.request import TruncatedInput
from penstock.protocol.spec import RecordType, Role
from penstock.testing.transport import PATIENCE, Dialogue
from tests.gateways.asking import gateway, handler
from tests.server.role_serving import MODES, THREADS, Upper, answer, ask_filter, serving

DATA = RecordType.DATA


@pytest.fixture
def serve(sock_dir):
    return partial(serving, sock_dir)


@MODES
@THREADS
def test_it_reads_stdin_and_then_data(serve, stream_body, threads):
    served = gateway(Upper, Role.FILTER)
    with serve(served, stream_body=stream_body, threads=threads) as connect, Dialogue(connect) as dialogue:
        for data in (b"some data", b"", b"d" * 300_000):
            request_id = ask_filter(dialogue, data, b"stdin", FCGI_DATA_LENGTH=str(len(data)))
            assert answer(dialogue, request_id).body == b"stdin|" + data.upper()
        assert dialogue.protocol.idle


@MODES
def test_data_may_be_read_without_reading_stdin(serve, stream_body):
    def process(request):
        request.write(request.data.read())

    served = gateway(handler(process), Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        assert answer(dialogue, ask_filter(dialogue, b"data", b"x" * 100_000)).body == b"data"


@MODES
def test_data_of_no_announced_length_is_read_to_its_end(serve, stream_body):
    served = gateway(Upper, Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        assert answer(dialogue, ask_filter(dialogue, b"data")).body == b"|DATA"


@MODES
@pytest.mark.parametrize("data", [b"", b"shor", b"s" * 99_999])
def test_short_data_raises_where_it_is_read_and_is_a_400_when_nobody_catches_it(serve, stream_body, data, caplog):
    raised = []

    def process(request):
        try:
            request.data.read()
        except OSError as error:
            raised.append(type(error))
            raise

    served = gateway(handler(process), Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        request_id = ask_filter(dialogue, data, FCGI_DATA_LENGTH=str(len(data) + 1))
        assert answer(dialogue, request_id).status == 400
        # The connection is none the worse for it.
        assert answer(dialogue, ask_filter(dialogue, b"x", FCGI_DATA_LENGTH="1")).status == 200
    assert raised == [ShortData]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"the data has {len(data)} bytes and FCGI_DATA_LENGTH says {len(data) + 1}" in line


@MODES
def test_short_data_is_given_out_as_far_as_it_goes(serve, stream_body):
    def process(request):
        request.write(request.data.read(5))
        with pytest.raises(ShortData):
            request.data.read(1)

    served = gateway(handler(process), Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        response = answer(dialogue, ask_filter(dialogue, b"short", FCGI_DATA_LENGTH="9"))
    assert (response.status, response.body) == (200, b"short")


@MODES
def test_short_data_that_nobody_reads_is_nobodys_trouble(serve, stream_body):
    """A filter may answer from a cache, by FCGI_DATA_LAST_MOD alone (section 6.4)."""

    def process(request):
        assert request.data_length == 1000
        request.write(str(request.data_last_modified))

    served = gateway(handler(process), Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        for _ in range(2):
            request_id = ask_filter(dialogue, b"short", FCGI_DATA_LENGTH="1000", FCGI_DATA_LAST_MOD="86400")
            assert answer(dialogue, request_id).body == b"1970-01-02 00:00:00+00:00"


@MODES
@pytest.mark.parametrize("size", [-1, 100])
def test_more_data_than_announced_is_never_given_out(serve, stream_body, size):
    def process(request):
        request.write(request.data.read(size))
        request.write(request.data.read())

    served = gateway(handler(process), Role.FILTER)
    with serve(served, stream_body=stream_body) as connect, Dialogue(connect) as dialogue:
        for _ in range(2):
            request_id = ask_filter(dialogue, b"data and more" * 10_000, FCGI_DATA_LENGTH="4")
            assert answer(dialogue, request_id).body == b"data"


def test_streamed_it_answers_when_the_announced_data_is_there_and_waits_for_no_end(serve):
    with serve(gateway(Upper, Role.FILTER), stream_body=True) as connect, Dialogue(connect) as dialogue:
        request_id = ask_filter(dialogue, b"data", end=False, FCGI_DATA_LENGTH="4")
        assert answer(dialogue, request_id).body == b"|DATA"


def test_streamed_it_may_begin_to_read_before_the_data_is_there(serve):
    read = threading.Event()

    def process(request):
        request.write(request.data.read(1))
        read.set()
        request.write(request.data.read())

    with serve(gateway(handler(process), Role.FILTER), stream_body=True) as connect, Dialogue(connect) as dialogue:
        request_id = ask_filter(dialogue, b"d", end=False, FCGI_DATA_LENGTH="4")
        assert read.wait(PATIENCE)
        dialogue.send(dialogue.protocol.send(request_id, b"ata", DATA))
        assert answer(dialogue, request_id).body == b"data"


def test_streamed_data_whose_connection_ends_is_truncated_and_not_short(serve):
    raised = []
    ended = threading.Event()

    def process(request):
        try:
            request.data.read()
        except OSError as error:
            raised.append(type(error))
            raise
        finally:
            ended.set()

    with serve(gateway(handler(process), Role.FILTER), stream_body=True) as connect, Dialogue(connect) as dialogue:
        ask_filter(dialogue, b"da", end=False, FCGI_DATA_LENGTH="4")
        dialogue.half_close()
        assert ended.wait(PATIENCE)
        dialogue.cut_off()
    assert raised == [TruncatedInput]


def test_received_first_a_connection_that_ends_in_the_data_starts_nothing(serve):
    started = []
    served = gateway(handler(lambda request: started.append(1)), Role.FILTER)
    with serve(served) as connect, Dialogue(connect) as dialogue:
        ask_filter(dialogue, b"da", end=False, FCGI_DATA_LENGTH="4")
        dialogue.half_close()
        dialogue.cut_off()
    assert started == []


@pytest.mark.parametrize("length", ["x", "-1", "+1", "1.0", " 1", "1" * 20, "\u0661"])
def test_a_length_that_is_none_is_a_400(serve, length):
    native = length.encode().decode("latin-1")
    with serve(gateway(Upper, Role.FILTER)) as connect, Dialogue(connect) as dialogue:
        assert answer(dialogue, ask_filter(dialogue, b"data", FCGI_DATA_LENGTH=native)).status == 400


@pytest.mark.parametrize("when", ["", "x", "-1", "9" * 19])
def test_a_time_that_is_none_is_none(serve, when):
    served = gateway(handler(lambda request: request.write(str(request.data_last_modified))), Role.FILTER)
    with serve(served) as connect, Dialogue(connect) as dialogue:
        assert answer(dialogue, ask_filter(dialogue, b"", FCGI_DATA_LAST_MOD=when)).body == b"None"


def test_data_on_disk_is_read_like_data_in_memory(serve):
    served = gateway(Upper, Role.FILTER)
    with serve(served, body_memory=1000) as connect, Dialogue(connect) as dialogue:
        data = b"d" * 200_000
        request_id = ask_filter(dialogue, data, b"s" * 2000, FCGI_DATA_LENGTH=str(len(data)))
        assert answer(dialogue, request_id).body == b"s" * 2000 + b"|" + data.upper()
