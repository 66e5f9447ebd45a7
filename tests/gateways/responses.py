"""This file reads CGI responses for tests."""

from __future__ import annotations


def parse(data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """Read a CGI response as the strictest web server would: CRLF only, a colon in each line, no folding."""
    head, blank, body = data.partition(b"\r\n\r\n")
    assert blank, "no blank line"
    fields = []
    for line in head.split(b"\r\n"):
        assert b"\r" not in line
        assert b"\n" not in line
        name, colon, value = line.decode("latin-1").partition(": ")
        assert colon, f"no colon in {line!r}"
        assert name, f"folded: {line!r}"
        assert name == name.strip()
        fields.append((name, value))
    first = fields[0][0] == "Status"
    name, status = fields.pop(0 if first else -1)
    assert name == "Status"
    assert not first or "Location" not in dict(fields), "HAProxy would make it a 302"
    return status, fields, body
