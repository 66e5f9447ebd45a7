"""This file tests multipart forms: values, entities with their files, and what is no such form."""

from __future__ import annotations

import sys

import pytest

from penstock.compat.jon import fcgi
from penstock.gateways.forms import FormLimits
from tests.compat.jon.asking import ask, fields

KIND = "multipart/form-data; boundary=b"


def form(*parts: tuple[str, bytes]) -> bytes:
    """A form of parts, each the lines of its head and its content."""
    made = [b"--b\r\n" + head.encode("latin-1").replace(b"\n", b"\r\n") + b"\r\n\r\n" + body for head, body in parts]
    return b"\r\n".join([*made, b"--b--\r\n"])


def named(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


def test_a_part_with_a_plain_name_is_text_and_a_star_makes_a_list():
    body = form((named("a"), "é".encode()), (named("l*"), b"1"), (named("l*"), b"2"), (named("a"), b"last"))
    assert fields("/?q=1", body, KIND) == {"q": "1", "a": "last", "l*": ["1", "2"]}


def test_a_plain_name_is_text_even_where_it_is_a_file():
    assert fields("/", form((named("a", '; filename="x"'), b"\xff")), KIND) == {"a": "\udcff"}


def test_an_exclamation_mark_makes_an_entity_with_bytes_types_and_headers():
    head = named("f!", '; filename="a b.txt"') + "\nContent-Type: Text/Plain; charset=x\nX-Own: 1"
    entity = fields("/", form((head, b"\x00\r\n--\xff")), KIND)["f!"]
    assert entity.body == b"\x00\r\n--\xff"
    assert entity.content_type == ("text/plain", {"charset": "x"})
    assert entity.content_disposition == ("form-data", {"name": "f!", "filename": "a b.txt"})
    assert entity["x-own"] == "1" == entity.getheader("X-OWN") == entity.get("X-Own")
    assert "X-OWN" in entity
    assert entity.has_key("content-type")
    assert not entity.has_key("none")
    assert sorted(entity.keys()) == ["Content-Disposition", "Content-Type", "X-Own"]
    assert entity.get("none") is None
    assert entity.getheader("none", "else") == "else"
    assert entity.entities == []
    with pytest.raises(KeyError):
        entity["none"]


def test_an_entity_without_a_type_or_a_file_says_so():
    entity = fields("/", form((named("f!"), b"1")), KIND)["f!"]
    assert entity.content_type is None
    assert entity.content_disposition == ("form-data", {"name": "f!"})


def test_exclamation_mark_and_star_make_a_list_of_entities():
    found = fields("/", form((named("f!*"), b"1"), (named("f!*"), b"2")), KIND)
    assert [entity.body for entity in found["f!*"]] == [b"1", b"2"]


def test_names_of_fields_and_files_are_in_the_encoding_of_the_form():
    body = form((named("é!", '; filename="ü.txt"'), b""), (named("é"), "ä".encode("latin-1")))
    found = fields("/", body, KIND, encoding="iso-8859-1")
    assert found["é"] == "ä"
    assert found["é!"].content_disposition[1]["filename"] == "ü.txt"
    found = fields("/", body, KIND)
    assert found["\udce9"] == "\udce4"


def test_the_type_of_a_form_is_known_in_any_case():
    assert fields("/", form((named("a"), b"1")), "Multipart/Form-Data; Boundary=b") == {"a": "1"}


def test_a_form_without_parts_is_empty():
    assert fields("/", b"--b--\r\n", KIND) == {}


def test_a_part_of_the_size_of_several_reads_is_whole():
    content = bytes(range(256)) * 1024
    assert fields("/", form((named("f!"), content)), KIND)["f!"].body == content


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"--b\r\n" + named("a").encode() + b"\r\n\r\ncut", KIND, 400),
        (b"nothing of the kind", KIND, 400),
        (b"--b--", "multipart/form-data", 400),
        (form((named("a"), b"x" * 300)), KIND, 413),
        (form(*[(named(f"a{number}"), b"") for number in range(4)]), KIND, 413),
    ],
    ids=["cut off", "no form", "no boundary", "too large", "too many parts"],
)
def test_what_is_no_form_or_too_much_of_one_is_refused(body, kind, status, caplog):
    class Careful(fcgi.Request):
        form_limits = FormLimits(max_fields=2, max_files=1, max_memory=350)

    answer = ask(lambda req: req.params, "POST", "/", [("Content-Type", kind)], body, request_type=Careful)
    assert answer.status == status
    assert len(caplog.records) == 1


def test_without_the_library_the_log_names_it(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "multipart", None)
    answer = ask(lambda req: req.params, "POST", "/", [("Content-Type", KIND)], form((named("a"), b"")))
    assert answer.status == 500
    assert "pip install 'penstock[forms]'" in caplog.text


def test_a_plain_form_does_not_need_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "multipart", None)
    assert fields("/", b"a=1") == {"a": "1"}
