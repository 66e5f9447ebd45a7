"""Tests of the WSGI gateway: bodies of every kind, their lengths, and files."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.request import Request
from penstock.gateways.webserver import cgi_params
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest
from tests.gateways.wsgi_calls import (
    BOTH_WAYS,
    PLAIN,
    Chunks,
    answer,
    gateway,
    plain,
    responding,
    run,
    validated,
)


def with_length(size: int) -> list[tuple[str, str]]:
    return [*PLAIN, ("Content-Length", str(size))]


@BOTH_WAYS
@pytest.mark.parametrize("kind", [list, tuple, Chunks])
class TestAnyBody:
    @pytest.mark.parametrize("chunks", [[], [b""], [b"", b"", b""]])
    def test_an_empty_one_is_still_a_response_with_a_head(self, via, kind, chunks):
        assert answer(run(via(responding(kind(chunks)))))[::2] == ("200 OK", b"")

    @pytest.mark.parametrize("chunks", [[b"a"], [b"", b"a", b"", b"bc"], [b"x" * 300_000], [b"x" * 100_000] * 3])
    def test_arrives_whole(self, via, kind, chunks):
        assert answer(run(via(responding(kind(chunks)))))[2] == b"".join(chunks)

    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    @pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
    def test_is_left_out_where_http_has_none(self, via, kind, method, status):
        headers = PLAIN if status == "200 OK" else [("X-Other", "1")]
        allowed = method == "GET" and status == "200 OK"
        request = run(via(responding(kind([b"body", b"more"]), status, headers)), method)
        assert answer(request)[2] == (b"bodymore" if allowed else b"")
        assert request.body_length == (8 if allowed else 0)

    def test_as_long_as_its_content_length_is_sent(self, via, kind):
        status, headers, body = answer(run(via(responding(kind([b"ab", b"cd"]), headers=with_length(4)))))
        assert (status, headers["Content-Length"], body) == ("200 OK", "4", b"abcd")

    @pytest.mark.parametrize("size", [0, 1, 2, 3])
    def test_longer_than_its_content_length_is_cut_and_logged(self, via, kind, size, caplog):
        body = answer(run(via(responding(kind([b"ab", b"cd"]), headers=with_length(size)))))[2]
        assert body == b"abcd"[:size]
        assert "Content-Length" in caplog.text

    def test_shorter_than_its_content_length_is_an_error(self, via, kind, caplog):
        request = run(via(responding(kind([b"ab"]), headers=with_length(5))))
        if kind is Chunks or via is validated:
            # Its head was out before anybody could know.
            assert request.aborted
            assert request.output.endswith(b"ab")
        else:
            assert answer(request)[0] == "500 Internal Server Error"
        assert "its Content-Length says" in caplog.text

    def test_with_nothing_where_content_length_promises_something_is_a_500(self, via, kind, caplog):
        assert answer(run(via(responding(kind([]), headers=with_length(5)))))[0] == "500 Internal Server Error"
        assert "Content-Length says 5" in caplog.text

    def test_of_head_is_not_measured(self, via, kind, caplog):
        status, headers, _ = answer(run(via(responding(kind([]), headers=with_length(12345))), "HEAD"))
        assert (status, headers["Content-Length"]) == ("200 OK", "12345")
        assert not caplog.records

    def test_of_head_that_is_empty_says_nothing_of_gets_length(self, via, kind):
        assert "Content-Length" not in answer(run(via(responding(kind([]))), "HEAD"))[1]


@pytest.mark.parametrize("kind", [list, tuple, Chunks])
@pytest.mark.parametrize("chunks", [["text"], [b"a", "text"], [1], [None], [[b"a"]], [""]])
def test_chunks_that_are_no_bytes_are_a_clear_error(kind, chunks, caplog):
    request = run(responding(kind(chunks)))
    if kind is Chunks and chunks[0] == b"a":
        assert request.aborted
    else:
        assert answer(request)[0] == "500 Internal Server Error"
    assert "TypeError" in caplog.text
    assert "bytes" in caplog.text


@pytest.mark.parametrize("kind", [list, tuple, Chunks])
@pytest.mark.parametrize("chunks", [[bytearray(b"ab")], [memoryview(b"a"), b"b"]])
def test_what_is_made_of_bytes_will_do(kind, chunks):
    assert answer(run(responding(kind(chunks))))[2] == b"ab"


class TestLists:
    @given(st.lists(st.binary(max_size=50)))
    def test_get_their_length_and_leave_in_one_write(self, chunks):
        request = run(responding(chunks))
        assert answer(request)[1]["Content-Length"] == str(len(b"".join(chunks)))
        assert len(request.writes) == 1

    def test_that_are_large_are_not_copied_for_the_head(self):
        body = b"x" * 5_000_000
        parts: list[object] = []

        class Kept(Request):
            def write(self, data):
                parts.append(data)

            def finish(self, data=b""):
                parts.append(data)

            def abort(self):
                raise AssertionError

        gateway(responding([body]))(Kept(Role.RESPONDER, cgi_params("GET", "/")))
        assert len(parts) == 2
        assert parts[1] is body


@BOTH_WAYS
class TestLazyBodies:
    def test_each_chunk_leaves_before_the_next_is_asked_for(self, via):
        left: list[bytes] = []

        def chunks():
            for chunk in (b"", b"one", b"", b"two", b"three"):
                left.append(request.output[-5:])
                yield chunk

        request = MemoryRequest(cgi_params("GET", "/"))
        gateway(via(responding(chunks())))(request)
        assert left[0] == left[1] == b""  # no chunk yet, so the status may still change
        assert left[2].endswith(b"\none")
        assert left[3].endswith(b"\none")
        assert left[4].endswith(b"two")
        assert answer(request)[2] == b"onetwothree"

    def test_the_chunk_that_completes_the_length_ends_the_response_and_the_rest_of_the_code_runs(self, via):
        done: list[bool] = []

        def chunks():
            yield b"abc"
            done.append(request.ended)

        request = MemoryRequest(cgi_params("GET", "/"))
        gateway(via(responding(chunks(), headers=with_length(3))))(request)
        assert done == [True]
        assert len(request.writes) == 1

    @pytest.mark.parametrize(("method", "size", "asked"), [("HEAD", None, 1), ("GET", 10, 3), ("GET", 8, 3)])
    def test_one_without_an_end_is_left_as_soon_as_nothing_more_can_be_sent(self, via, method, size, asked):
        body = Chunks(iter(lambda: b"abcd", b""))
        request = run(via(responding(body, headers=PLAIN if size is None else with_length(size))), method)
        assert answer(request)[2] == (b"abcdabcdabcd"[:size] if size else b"")
        assert (body.asked, body.closed) == (asked, 1)

    @given(chunks=st.lists(st.binary(max_size=20), max_size=8), size=st.none() | st.integers(0, 60))
    def test_what_leaves_is_what_came_up_to_its_length(self, via, chunks, size):
        whole = b"".join(chunks)
        request = run(via(responding(Chunks(chunks), headers=PLAIN if size is None else with_length(size))))
        if size is not None and len(whole) < size:
            assert request.aborted or request.status == 500
        else:
            assert answer(request)[2] == whole[:size]
            assert request.body_length == len(whole[:size])


class File(io.BytesIO):
    """A file that remembers how it was read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.sizes: list[int | None] = []

    def read(self, size=-1):
        self.sizes.append(size)
        return super().read(size)


def sending(file: object, *block: int, headers=PLAIN):
    def app(environ, start_response):
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file, *block)

    return app


@BOTH_WAYS
class TestFileWrapper:
    def test_reads_block_by_block_and_closes_the_file(self, via):
        file = File(b"x" * 200_000)
        assert answer(run(via(sending(file, 1000))))[2] == b"x" * 200_000
        assert file.closed
        assert len(file.sizes) == 5  # blocks that fill a record, however small the application's are
        assert set(file.sizes) == {65528}

    def test_takes_the_applications_block_size_if_it_is_larger(self, via):
        file = File(b"x" * 200_000)
        run(via(sending(file, 150_000)))
        assert set(file.sizes) == {150_000}

    def test_sends_a_real_file_from_where_it_stands(self, via, tmp_path):
        path = tmp_path / "file"
        path.write_bytes(b"0123456789" * 50_000)
        file = path.open("rb")
        file.seek(7)
        assert answer(run(via(sending(file))))[2] == (b"0123456789" * 50_000)[7:]
        assert file.closed

    def test_reads_no_further_than_the_content_length(self, via):
        file = File(b"x" * 1_000_000)
        assert len(answer(run(via(sending(file, headers=with_length(70_000)))))[2]) == 70_000
        assert len(file.sizes) <= 3

    def test_needs_nothing_but_read(self, via):
        class Reading:
            def __init__(self) -> None:
                self.blocks = [b"", b"two", b"one"]

            def read(self, size):
                return self.blocks.pop()

        assert answer(run(via(sending(Reading()))))[2] == b"onetwo"

    def test_sends_an_empty_file(self, via):
        assert answer(run(via(sending(File(b"")))))[2] == b""


def test_a_text_file_in_the_wrapper_is_an_error_even_when_it_is_empty(caplog):
    for text in ("", "text"):
        assert answer(run(plain(sending(io.StringIO(text)))))[0] == "500 Internal Server Error"
        assert "chunk of type str" in caplog.text
