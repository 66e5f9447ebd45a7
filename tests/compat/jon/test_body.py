"""This file tests a jonpy answer's body: buffering, text and bytes, positions, and how many writes it takes."""

from __future__ import annotations

import pytest

from penstock.compat.jon import cgi
from tests.compat.jon.asking import ask, run

PLAIN = "text/plain; charset=utf-8"


def test_a_buffered_answer_goes_out_in_one_write_with_its_length():
    def process(req):
        req.write("one ")
        req.write("two")

    request = run(process)
    assert len(request.writes) == 1
    assert b"Content-Length: 7\r\n" in request.output
    assert request.output.endswith(b"\r\n\r\none two")
    assert request.body_length == 7


def test_headers_may_be_set_after_the_body_was_written():
    def process(req):
        req.write("text")
        req.set_header("Content-Type", PLAIN)

    assert ask(process).get("Content-Type") == PLAIN


def test_without_buffering_each_write_goes_out_at_once():
    def process(req):
        req.set_buffering(0)
        req.write("one")
        req.write("two")

    request = run(process)
    assert [write.rpartition(b"\n")[2] for write in request.writes] == [b"one", b"two", b""]
    assert b"Content-Length" not in request.output


def test_flush_sends_what_there_is_and_buffering_goes_on():
    def process(req):
        req.write("one")
        req.flush()
        req.write("two")
        req.write("three")

    assert [write.rpartition(b"\n")[2] for write in run(process).writes] == [b"one", b"twothree"]


def test_flush_without_a_body_sends_the_headers():
    def process(req):
        req.flush()
        req.flush()

    request = run(process)
    assert [bool(write) for write in request.writes] == [True, False]
    assert request.writes[0].startswith(b"Content-Type: ")


def test_ending_the_buffering_sends_what_was_kept():
    def process(req):
        req.write("kept")
        req.set_buffering(False)
        req.write("now")

    assert [write.rpartition(b"\n")[2] for write in run(process).writes] == [b"kept", b"now", b""]


def test_ending_the_buffering_of_nothing_leaves_the_headers_open():
    def process(req):
        req.set_buffering(0)
        req.set_header("X", "1")
        req.write("text")

    assert ask(process).get("X") == "1"


def test_clear_output_forgets_what_was_not_sent_and_needs_buffering():
    def process(req):
        req.write("lost")
        req.clear_output()
        req.write("kept")
        req.set_buffering(0)
        with pytest.raises(cgi.SequencingError):
            req.clear_output()

    assert ask(process).body == b"kept"


def test_write_takes_text_bytes_and_whatever_has_a_str():
    def process(req):
        for piece in ("é", b"\xff\x00", bytearray(b"x"), memoryview(b"y"), 5, None):
            req.write(piece)

    assert ask(process).body == b"\xe9\xff\x00xy5None"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=iso-8859-1", b"\xe9 &#8364; \xe9\xff"),
        ("text/html; charset=utf-8", "é € ".encode() + b"\xe9\xff"),
        ("text/html", "é € ".encode() + b"\xe9\xff"),
        ("text/html; charset=no-such", "é € ".encode() + b"\xe9\xff"),
        ("application/json", "é € ".encode() + b"\xe9\xff"),
        ('application/xhtml+xml; charset="us-ascii"', b"&#233; &#8364; \xe9\xff"),
        ("text/plain; Charset=windows-1252", b"\xe9 \x80 \xe9\xff"),
    ],
)
def test_text_goes_out_in_the_charset_that_the_type_names_and_foreign_bytes_as_they_came(kind, body):
    def process(req):
        req.write("é € ")
        req.write(req.params["raw"])
        req.set_header("Content-Type", kind)

    assert ask(process, url="/?raw=%E9%FF").body == body


def test_a_character_that_plain_text_has_no_room_for_is_a_500_and_the_log_says_which(caplog):
    def process(req):
        req.set_header("Content-Type", "text/plain; charset=iso-8859-1")
        req.write("€")

    assert ask(process).status == 500
    assert "\\u20ac" in caplog.text


def test_set_encoding_encodes_text_whatever_the_type_says_and_recodes_bytes_if_told_to():
    def process(req):
        req.write("é")
        req.set_encoding("utf-8")
        req.write("é")
        req.write(b"\xe9")
        req.set_encoding("utf-8", "iso-8859-1")
        req.write(b"\xe9")
        assert req.get_encoding() == "utf-8"
        req.set_encoding(None, None)
        req.write("é")
        assert req.get_encoding() is None

    assert ask(process).body == b"\xe9" + "é".encode() + b"\xe9" + "é".encode() + b"\xe9"


def test_tell_counts_bytes_and_seek_goes_back_over_what_was_not_sent():
    places = []

    def process(req):
        req.set_header("Content-Type", PLAIN)
        req.write("é123456")
        places.append(req.tell())
        req.seek(2)
        req.write(b"abc")
        places.append(req.tell())
        req.seek(-1, 2)
        req.write("Z")
        req.seek(1, 1)
        req.write("end")
        places.append(req.tell())

    assert ask(process).body == "éabc45Z\0end".encode()
    assert places == [8, 5, 12]


def test_seek_cannot_go_back_over_what_was_sent():
    def process(req):
        req.write("sent")
        req.flush()
        assert req.tell() == 4
        for wrong in ((3, 0), (-1, 1), (0, 3)):
            with pytest.raises(ValueError, match=r"seek\(\)"):
                req.seek(*wrong)
        req.seek(4)
        req.write("!")

    assert ask(process).body == b"sent!"


def test_seek_over_the_end_sends_zeros_where_nothing_is_kept():
    def process(req):
        req.set_buffering(0)
        req.write("a")
        req.seek(2, 1)
        req.write("b")
        assert req.tell() == 4

    assert ask(process).body == b"a\0\0b"


def test_after_close_writing_raises_and_the_answer_is_complete():
    passed = []

    def process(req):
        req.write("done")
        assert not req.closed
        req.close()
        assert req.closed
        req.close()
        for late in (lambda: req.write("x"), req.flush, req.output_headers, lambda: req.set_header("X", "1")):
            with pytest.raises(ValueError, match="has ended"):
                late()
        passed.append(True)

    assert ask(process).body == b"done"
    assert passed


def test_the_body_of_head_204_and_304_stays_here():
    assert ask(lambda req: req.write("page"), "HEAD").body == b""
    assert ask(lambda req: req.write("page"), "HEAD").get("Content-Length") == "4"

    def process(req):
        req.set_header("Status", req.params["s"])
        req.write("page")
        req.flush()
        req.write("more")

    assert [ask(process, url=f"/?s={status}").body for status in (204, 304, 200)] == [b"", b"", b"pagemore"]


def test_a_content_length_that_counts_characters_becomes_that_of_the_bytes():
    def process(req):
        page = "naïve €"
        req.set_header("Content-Type", PLAIN)
        req.set_header("Content-Length", len(page))
        req.write(page)

    answer = ask(process)
    assert answer.body == "naïve €".encode()
    assert answer.get("Content-Length") == "10"


def test_a_content_length_that_is_right_stays_and_one_that_lies_is_held_to(caplog):
    def process(req):
        req.set_header("Content-Length", req.params["n"])
        req.write("1234")

    assert ask(process, url="/?n=4").get("Content-Length") == "4"
    assert ask(process, url="/?n=2").body == b"12"
    assert ask(process, url="/?n=9").status == 500
    assert "5 bytes shorter than its Content-Length" in caplog.text


def test_an_override_of_write_sees_the_body_as_bytes():
    from penstock.compat.jon import fcgi

    class Shouting(fcgi.Request):
        def _write(self, s):
            super()._write(s.upper())

    def process(req):
        req.write("one ")
        req.flush()
        req.write("two")

    assert ask(process, request_type=Shouting).body == b"ONE TWO"
