"""This file holds the numbers of the specification against a second copy, taken from its section 8."""

from __future__ import annotations

from penstock.protocol import spec


def test_record_types_have_the_numbers_of_section_8():
    assert {kind.name: int(kind) for kind in spec.RecordType} == {
        "BEGIN_REQUEST": 1,
        "ABORT_REQUEST": 2,
        "END_REQUEST": 3,
        "PARAMS": 4,
        "STDIN": 5,
        "STDOUT": 6,
        "STDERR": 7,
        "DATA": 8,
        "GET_VALUES": 9,
        "GET_VALUES_RESULT": 10,
        "UNKNOWN_TYPE": 11,
    }
    assert max(spec.RecordType) == spec.MAX_TYPE


def test_roles_flags_and_statuses_have_the_numbers_of_section_8():
    assert [(role.name, int(role)) for role in spec.Role] == [("RESPONDER", 1), ("AUTHORIZER", 2), ("FILTER", 3)]
    assert [(status.name, int(status)) for status in spec.ProtocolStatus] == [
        ("REQUEST_COMPLETE", 0),
        ("CANT_MPX_CONN", 1),
        ("OVERLOADED", 2),
        ("UNKNOWN_ROLE", 3),
    ]
    assert spec.KEEP_CONN == 1
    assert spec.VERSION == 1
    assert spec.HEADER_LENGTH == 8


def test_management_records_are_those_that_section_4_describes():
    assert sorted(spec.MANAGEMENT_TYPES) == [9, 10, 11]


def test_a_field_of_16_bits_bounds_content_and_ids():
    assert spec.MAX_CONTENT == spec.MAX_REQUEST_ID == 2**16 - 1
