"""This file tests fastai's helpers for records: they read and write what penstock's own floors do."""

from __future__ import annotations

import io

import pytest

from penstock.compat.fastcgi import Record, Role, Status, params, readlen, recv_record, send_record, send_stream
from penstock.protocol import spec
from penstock.testing import build


@pytest.mark.parametrize(("ours", "theirs"), [(Record, spec.RecordType), (Role, spec.Role)])
def test_the_enums_have_the_specification_s_numbers(ours, theirs):
    assert {member.name: member.value for member in ours} == {member.name: int(member) for member in theirs}


def test_the_statuses_are_not_one_too_high_as_fastai_s_are():
    assert {member.name: member.value for member in Status} == {
        member.name: int(member) for member in spec.ProtocolStatus
    }


@pytest.mark.parametrize("size", [0, 127, 128, 70_000])
def test_readlen_reads_what_the_encoder_writes(size):
    encoded = size.to_bytes(1, "big") if size < 128 else (size | 1 << 31).to_bytes(4, "big")
    assert readlen(io.BytesIO(encoded)) == size


def test_a_record_that_was_sent_is_received():
    file = io.BytesIO()
    send_record(Record.STDOUT, file, b"content")
    send_record(Record.STDOUT, file)
    file.seek(0)
    assert [recv_record(file), recv_record(file)] == [(Record.STDOUT, b"content"), (Record.STDOUT, b"")]
    with pytest.raises(EOFError):
        recv_record(file)


def test_a_stream_is_cut_into_records_and_ends_with_an_empty_one():
    file = io.BytesIO()
    send_stream(Record.STDIN, file, io.BytesIO(b"x" * 70_000), request_id=3)
    file.seek(0)
    sizes = [len(recv_record(file)[1]) for _ in range(3)]
    assert sizes == [65535, 70_000 - 65535, 0]
    assert file.getvalue()[2:4] == b"\0\3"


def test_params_reads_pairs_as_text():
    file = io.BytesIO(build.params({"A": "1", "LONG": "x" * 300, "E": "\xc3\xa9", "RAW": "\xff"}))
    kind, content = recv_record(file)
    assert kind is Record.PARAMS
    assert params(content) == {"A": "1", "LONG": "x" * 300, "E": "é", "RAW": "\udcff"}
