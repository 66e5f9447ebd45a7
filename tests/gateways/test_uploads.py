"""This file tests multipart forms: fields, files of any bytes and names, limits, broken bodies, no library."""

from __future__ import annotations

import hashlib
import io
import sys
from tempfile import SpooledTemporaryFile
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.forms import BadForm, FormLimits
from penstock.gateways.handler_request import Request
from penstock.gateways.request import TruncatedInput
from penstock.gateways.uploads import LibraryMissing, read_multipart
from penstock.testing import MemoryRequest
from tests.gateways.asking import ask, gateway, handler, params

pytest.importorskip("multipart")

BORDER = "a-border-that-no-file-holds"
KIND = f'multipart/form-data; boundary="{BORDER}"'
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%\\\0"), max_size=20)
NAMES = TEXT.filter(lambda name: "\n" not in name and "\r" not in name)


def quoted(name: str) -> str:
    """As browsers do it (HTML Standard, multipart/form-data encoding)."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def part(name: str, content: bytes | str, filename: str | None = None, content_type: str | None = None) -> bytes:
    head = f'Content-Disposition: form-data; name="{quoted(name)}"'
    if filename is not None:
        head += f'; filename="{quoted(filename)}"'
    if content_type is not None:
        head += f"\r\nContent-Type: {content_type}"
    body = content.encode() if isinstance(content, str) else content
    return f"--{BORDER}\r\n{head}\r\n\r\n".encode() + body + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BORDER}--\r\n".encode()


def read(body: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]]:
    """The fields, and each file's field, name and content."""
    fields, uploads = read_multipart(io.BytesIO(body), KIND, FormLimits())
    files = []
    for name, upload in uploads:
        with upload.file as file:
            files.append((name, upload.filename, file.read()))
            assert upload.size == file.tell()
    return fields, files


def post(what, body, kind=KIND, **words):
    return ask(what, "POST", headers=[("Content-Type", kind)], body=body, **words)


def test_fields_and_files_come_apart_in_their_order():
    def process(request):
        assert request.form.pairs() == (("a", "1"), ("b", "ż"), ("a", ""))
        ((name, upload),) = request.files.pairs()
        assert (name, upload.filename, upload.content_type) == ("photo", "a b.PNG", "image/png")
        assert (upload.file.read(), upload.size) == (b"\x89PNG\r\n\0\xff", 8)
        assert upload is request.files["photo"]

    body = form(
        part("a", "1"), part("photo", b"\x89PNG\r\n\0\xff", "a b.PNG", "Image/PNG; x=y"), part("b", "ż"), part("a", "")
    )
    assert post(process, body).status == 200


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000, 3_000_000])
def test_a_file_arrives_whole_whether_it_is_in_memory_or_on_disk(size):
    content = (bytes(range(256)) * (size // 256 + 1))[:size]

    def process(request):
        upload = request.files["f"]
        request.write(f"{upload.size} {hashlib.sha256(upload.file.read()).hexdigest()}")

    response = post(process, form(part("before", "x" * 100), part("f", content, "f.bin")))
    assert response.body.decode() == f"{size} {hashlib.sha256(content).hexdigest()}"


def test_a_big_file_lies_on_disk_and_a_small_one_in_memory():
    def process(request):
        small, big = request.files.getall("f")
        assert not small.file._rolled
        assert big.file._rolled

    limited = handler(process, form_limits=FormLimits(file_memory=10))
    assert post(limited, form(part("f", b"x" * 10, "a"), part("f", b"x" * 11, "b"))).status == 200


@given(
    fields=st.lists(st.tuples(NAMES, TEXT), max_size=5),
    files=st.lists(st.tuples(NAMES, NAMES, st.binary(max_size=300)), max_size=5),
)
def test_what_a_browser_sends_comes_back(fields, files):
    body = form(*(part(*field) for field in fields), *(part(name, content, file) for name, file, content in files))
    texts, uploads = read(body)
    assert texts == fields
    assert uploads == [
        (name, "" if file.rpartition("/")[2] in (".", "..") else file.rpartition("/")[2], content)
        for name, file, content in files
        if file or content
    ]


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("a.txt", "a.txt"),
        ("żółw.txt", "żółw.txt"),
        ('say "hi".txt', 'say "hi".txt'),
        ("/etc/passwd", "passwd"),
        ("../../etc/passwd", "passwd"),
        ("folder\\a.txt", "a.txt"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("..", ""),
        ("a/..", ""),
        ("folder/", ""),
    ],
)
def test_a_file_name_is_one_component(sent, name):
    assert read(form(part("f", "x", sent)))[1] == [("f", name, b"x")]


def test_a_field_where_no_file_was_chosen_is_left_out():
    assert read(form(part("f", b"", "", "application/octet-stream"), part("a", "1"))) == ([("a", "1")], [])


def test_an_empty_file_that_was_chosen_is_there():
    assert read(form(part("f", b"", "empty.txt")))[1] == [("f", "empty.txt", b"")]


def test_an_empty_body_is_an_empty_form():
    assert read(b"") == ([], [])


def test_the_content_may_look_like_a_border():
    content = f"\r\n--{BORDER[:-1]}\r\n--\r\n\r\n--".encode() * 3
    assert read(form(part("f", content, "f")))[1] == [("f", "f", content)]


BROKEN = {
    "no border": b"a=1&b=2",
    "another border": form(part("a", "1")).replace(BORDER.encode(), b"another"),
    "cut in the content": form(part("a", "1" * 100))[:-80],
    "cut before the last border": part("a", "1"),
    "cut in the last border": form(part("a", "1"))[:-5],
    "no disposition": f"--{BORDER}\r\nX: y\r\n\r\n1\r\n--{BORDER}--\r\n".encode(),
    "a line that is no header": f"--{BORDER}\r\njunk\r\n\r\n1\r\n--{BORDER}--\r\n".encode(),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_form_is_a_400_with_one_line(broken, caplog):
    assert post(lambda request: request.form, broken).status == 400
    (line,) = [record.getMessage() for record in caplog.records]
    assert "a multipart form that cannot be read" in line


@pytest.mark.parametrize("border", ["", "; boundary=", "; boundary=x\ny"])
def test_a_form_without_a_border_is_a_400(border):
    kind = f"multipart/form-data{border}"
    assert ask(lambda request: request.form, "POST", body=form(), more={"CONTENT_TYPE": kind}).status == 400


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_do_worse_than_a_400(noise, framed):
    body = form(part("a", "1"))[:-4] + noise if framed else noise
    try:
        fields, files = read(body)
    except BadForm:
        return
    assert all(isinstance(value, str) for _, value in fields)
    assert files == []


LIMITS = {
    "fields": (FormLimits(max_fields=2), [part("a", "1")] * 2, part("a", "1")),
    "files": (FormLimits(max_files=2), [part("f", "1", "x")] * 2, part("f", "1", "x")),
    "fields and files": (FormLimits(max_fields=1, max_files=1), [part("a", "1"), part("f", "1", "x")], part("b", "2")),
    "memory": (FormLimits(max_memory=6), [part("ab", "1"), part("cd", "2")], part("", "3")),
}


@pytest.mark.parametrize(("limits", "enough", "too_much"), LIMITS.values(), ids=LIMITS)
def test_a_form_over_a_limit_is_a_413_with_one_line(limits, enough, too_much, caplog):
    limited = handler(lambda request: request.form, form_limits=limits)
    assert post(limited, form(*enough)).status == 200
    assert caplog.records == []
    assert post(limited, form(*enough, too_much)).status == 413
    assert len(caplog.records) == 1


def test_files_do_not_count_as_memory():
    limited = handler(lambda request: request.form, form_limits=FormLimits(max_memory=10))
    assert post(limited, form(part("f", b"x" * 1000, "f"))).status == 200


@pytest.mark.parametrize("announced", [True, False])
def test_the_whole_form_has_a_limit(announced):
    body = form(part("f", b"x" * 1000, "f"))
    for most, status in ((len(body), 200), (len(body) - 1, 413)):
        limited = handler(lambda request: request.form, form_limits=FormLimits(max_size=most))
        more = {} if announced else {"CONTENT_LENGTH": "-1"}
        assert post(limited, body, more=more).status == status


def test_what_follows_the_form_is_read_and_dropped():
    def process(request):
        assert request.form["a"] == "1"
        assert request.stdin.read() == b""

    assert post(process, form(part("a", "1")) + b"x" * 200_000).status == 200


def test_a_header_without_an_end_is_a_413():
    assert post(lambda request: request.form, f"--{BORDER}\r\n".encode() + b"X: " + b"y" * 10_000).status == 413


@pytest.mark.parametrize("fails", [False, True])
def test_files_are_closed_when_the_request_ends(fails):
    seen = []

    def process(request):
        seen.append(request.files["f"].file)
        assert not seen[0].closed
        if fails:
            raise ValueError

    post(process, form(part("f", "x", "f")))
    assert seen[0].closed


def test_files_are_closed_when_the_form_turns_out_to_be_broken(monkeypatch):
    opened: list[Any] = []

    def make(*given, **named):
        opened.append(SpooledTemporaryFile(*given, **named))  # noqa: SIM115 - whether it is closed is the question
        return opened[-1]

    monkeypatch.setattr("penstock.gateways.uploads.SpooledTemporaryFile", make)
    with pytest.raises(BadForm):
        read(part("f", "x", "f") + part("g", "x", "g"))
    assert [file.closed for file in opened] == [True, True]


@pytest.mark.parametrize("size", [10, 500_000])
def test_a_file_for_which_the_disk_has_no_room_is_a_507_with_one_line(size, monkeypatch, caplog):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "r+b"))  # noqa: SIM115
    limited = handler(lambda request: request.files, form_limits=FormLimits(file_memory=5))
    assert post(limited, form(part("f", b"x" * size, "f"))).status == 507
    assert [record.message.partition("]: ")[2] for record in caplog.records] == [
        "a file of the form cannot be kept: No space left on device"
    ]


class TestWithoutTheLibrary:
    BODY = form(part("a", "1"))

    @pytest.mark.parametrize("other", [None, ModuleType("multipart")], ids=["not there", "another of this name"])
    def test_a_multipart_form_is_a_500_and_the_log_says_what_to_install(self, other, monkeypatch, caplog):
        monkeypatch.setitem(sys.modules, "multipart", other)
        assert post(lambda request: request.form, self.BODY).status == 500
        assert "forms with files need the multipart library: pip install 'penstock[forms]'" in caplog.text

    def test_the_handler_may_catch_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "multipart", None)
        with pytest.raises(LibraryMissing):
            read(self.BODY)

    def test_everything_else_works(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "multipart", None)
        assert post(lambda request: request.write(request.stdin.read(2)), self.BODY).body == b"--"


def test_a_form_whose_connection_ends_is_not_taken_for_a_whole_one():
    pieces = [part("a", "1")]

    class Ending(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            if not pieces:
                raise TruncatedInput("gone")
            piece = pieces.pop()
            buffer[: len(piece)] = piece
            return len(piece)

    raw = MemoryRequest(params("POST", headers=[("Content-Type", KIND)]))
    raw.stdin = io.BufferedReader(Ending())
    with pytest.raises(TruncatedInput):
        gateway(handler(lambda request: request.form))(raw)
    assert raw.writes == []


def test_a_request_can_be_made_without_a_gateway():
    raw = MemoryRequest(params("POST", headers=[("Content-Type", KIND)]), form(part("a", "1")))
    assert Request(raw).form["a"] == "1"
