"""This file tests how parameters are merged, repaired and completed; the recordings have a file of their own."""

from __future__ import annotations

from urllib.parse import quote_from_bytes

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.gateways.environ import (
    BadRequest,
    MissingParams,
    content_length,
    merge,
    mount_point,
    normalise,
    require_method,
    scheme,
)


class TestMerge:
    def test_the_last_of_repeated_parameters_wins(self):
        pairs = [("SCRIPT_NAME", "/whole"), ("SERVER_NAME", "a"), ("SERVER_NAME", "b"), ("SCRIPT_NAME", "")]
        assert merge(pairs) == {"SCRIPT_NAME": "", "SERVER_NAME": "b"}

    def test_repeated_header_lines_are_joined_in_their_order(self):
        pairs = [("HTTP_X_FORWARDED_FOR", "1.1.1.1"), ("A", "a"), ("HTTP_X_FORWARDED_FOR", "2.2.2.2"), ("A", "b")]
        assert merge(pairs) == {"HTTP_X_FORWARDED_FOR": "1.1.1.1, 2.2.2.2", "A": "b"}

    def test_repeated_cookies_are_joined_with_a_semicolon(self):
        assert merge([("HTTP_COOKIE", "a=1"), ("HTTP_COOKIE", "b=2")]) == {"HTTP_COOKIE": "a=1; b=2"}

    def test_empty_lines_leave_no_commas_behind(self):
        assert merge([("HTTP_X", ""), ("HTTP_X", "bob"), ("HTTP_X", "")]) == {"HTTP_X": "bob"}
        assert merge([("HTTP_X", ""), ("HTTP_X", "")]) == {"HTTP_X": ""}

    def test_a_repeated_host_is_an_override_of_the_configuration(self):
        assert merge([("HTTP_HOST", "a.test"), ("HTTP_HOST", "a.test:8080")]) == {"HTTP_HOST": "a.test:8080"}

    def test_odd_names_are_kept_and_no_name_is_dropped(self):
        pairs = [
            ("proxy-nokeepalive", "1"),
            ("Authorization", "Basic x"),
            ("", "nobody"),
            ("http_x", "1"),
            ("http_x", "2"),
        ]
        assert merge(pairs) == {"proxy-nokeepalive": "1", "Authorization": "Basic x", "http_x": "2"}

    def test_no_pairs_make_no_parameters(self):
        assert merge([]) == {}

    @pytest.mark.parametrize(
        "pairs",
        [
            [("PATH_INFO", "a\0b")],
            [("PATH\0INFO", "ab")],
            [("PATH_INFO", "a\0b"), ("PATH_INFO", "overwritten")],
            [("PATH_INFO", "a"), ("PATH_INFO", "\0"), ("PATH_INFO", "overwritten")],
            [("HTTP_X", "a"), ("HTTP_X", "b\0")],
            [("", "\0")],
        ],
    )
    def test_a_nul_anywhere_is_a_bad_request(self, pairs):
        with pytest.raises(BadRequest) as caught:
            merge(pairs)
        assert caught.value.status == 400
        assert "NUL" in caught.value.reason

    def test_a_hundred_thousand_repeats_are_joined_once(self):
        assert merge([("HTTP_X", "v")] * 100_000)["HTTP_X"] == ", ".join(["v"] * 100_000)


class TestHostilePaths:
    """What took PHP, Caddy and FrankenPHP apart (CVE-2019-11043 and its successors) changes nothing here."""

    @pytest.mark.parametrize(
        "path",
        ["/a\n.py", "/\u1e9e.py".encode().decode("latin-1"), "/\ufe52py".encode().decode("latin-1"), "/up.jpg/x.py"],
    )
    def test_a_path_that_resembles_a_program_is_left_alone(self, path):
        params = {"SCRIPT_NAME": "/app", "PATH_INFO": path, "REQUEST_URI": "/elsewhere" * 5000}
        normalise(params)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == ("/app", path)

    def test_an_empty_path_info_beside_a_long_request_uri_stays_empty(self):
        params = {"SCRIPT_NAME": "/index.php", "PATH_INFO": "", "REQUEST_URI": "/index.php/" + "%0a" * 20_000}
        normalise(params)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == ("/index.php", "")

    def test_names_of_programs_are_compared_with_their_case(self):
        params = {"SCRIPT_NAME": "/A.PY", "PATH_INFO": "/x", "REQUEST_URI": "/x"}
        normalise(params)
        assert params["SCRIPT_NAME"] == "/A.PY"

    @pytest.mark.parametrize(
        ("uri", "expected"),
        [
            ("/a/..%2fb", "/b"),
            ("/..%2f..%2fetc", "/etc"),
            ("//evil.test/x", "/evil.test/x"),
            ("/a%0ab", "/a\nb"),
            ("*", ""),
        ],
    )
    def test_a_path_out_of_request_uri_never_climbs_and_names_no_host(self, uri, expected):
        params = {"REQUEST_URI": uri}
        normalise(params)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == ("", expected)

    def test_a_nul_in_request_uri_is_refused_where_the_path_comes_from_there(self):
        with pytest.raises(BadRequest):
            normalise({"REQUEST_URI": "/a%00b"})

    def test_the_absolute_form_of_a_target_gives_its_path(self):
        params = {"REQUEST_URI": "http://host.test/a%20b?q"}
        normalise(params)
        assert params["PATH_INFO"] == "/a b"

    def test_redirect_url_stands_in_for_a_missing_request_uri(self):
        params = {"SCRIPT_NAME": "/d/run.fcgi", "PATH_INFO": "/x y", "REDIRECT_URL": "/d/x y"}
        normalise(params)
        assert params["SCRIPT_NAME"] == "/d"


class TestMount:
    def test_it_is_cut_at_a_slash_only(self):
        for path, expected in [
            ("/app", ("/app", "")),
            ("/app/x", ("/app", "/x")),
            ("/application", ("", "/application")),
        ]:
            params = {"SCRIPT_NAME": "", "PATH_INFO": path}
            normalise(params, "/app")
            assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == expected

    def test_a_program_may_be_the_mount_even_if_the_url_was_rewritten_to_it(self):
        params = {"SCRIPT_NAME": "/run.fcgi", "PATH_INFO": "/x", "REQUEST_URI": "/x"}
        normalise(params, "/run.fcgi")
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == ("/run.fcgi", "/x")

    @pytest.mark.parametrize(
        ("typed", "mount"),
        [("/app", "/app"), ("/app/", "/app"), ("/", ""), ("", ""), ("/é", "/\u00c3\u00a9"), ("/a b", "/a b")],
    )
    def test_what_somebody_types_becomes_a_mount(self, typed, mount):
        assert mount_point(typed) == mount

    @pytest.mark.parametrize("typed", ["app", "http://h/app", "/a//b", "/a/../b", "/a/.", "/a\0"])
    def test_what_no_url_starts_with_is_no_mount(self, typed):
        with pytest.raises(ValueError, match="a mount is a path"):
            mount_point(typed)


class TestSmallAnswers:
    @pytest.mark.parametrize(("text", "expected"), [("0", 0), ("10", 10), ("007", 7), ("9" * 19, 10**19 - 1)])
    def test_a_length_is_a_number(self, text, expected):
        assert content_length({"CONTENT_LENGTH": text}) == expected

    @pytest.mark.parametrize("params", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "-1"}])
    def test_without_a_length_the_end_of_the_input_counts(self, params):
        assert content_length(params) is None

    @pytest.mark.parametrize(
        "text",
        [
            "+10",
            "-0",
            "-2",
            "0x10",
            "1_0",
            " 10",
            "10 ",
            "10, 10",
            "abc",
            "1e3",
            "\u00b2",
            "1.0",
            "9" * 20,
            "1" * 2**20,
            "\n",
        ],
        ids=lambda text: ascii(text)[:20],
    )
    def test_any_other_length_is_refused_with_a_short_printable_reason(self, text):
        with pytest.raises(BadRequest) as caught:
            content_length({"CONTENT_LENGTH": text})
        assert caught.value.status == 400
        assert len(caught.value.reason) < 300
        assert caught.value.reason.isprintable()

    @pytest.mark.parametrize(
        "params", [{"HTTPS": value} for value in ("on", "ON", "1", "true")] + [{"REQUEST_SCHEME": "https"}]
    )
    def test_the_scheme_is_https(self, params):
        assert scheme(params) == "https"

    @pytest.mark.parametrize(
        "params", [{}, {"HTTPS": ""}, {"HTTPS": "off"}, {"HTTPS": "0"}, {"REQUEST_SCHEME": "http"}]
    )
    def test_the_scheme_is_http(self, params):
        assert scheme(params) == "http"

    def test_a_method_is_returned(self):
        assert require_method({"REQUEST_METHOD": "PROPFIND"}) == "PROPFIND"

    @pytest.mark.parametrize("params", [{}, {"REQUEST_METHOD": ""}])
    def test_without_a_method_the_log_says_what_to_configure(self, params):
        with pytest.raises(MissingParams, match="include fastcgi_params") as caught:
            require_method(params)
        assert caught.value.status == 500
        assert isinstance(caught.value, BadRequest)

    def test_what_pep_3333_demands_is_filled_in(self):
        params = {"SCRIPT_NAME": "/x", "PATH_INFO": "/y"}
        normalise(params)
        assert params == {
            "SCRIPT_NAME": "/x",
            "PATH_INFO": "/y",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.0",
        }

    def test_what_is_known_better_is_filled_in_from_there(self):
        params = {"SERVER_NAME": "", "SERVER_ADDR": "10.0.0.1", "SERVER_PORT": "", "HTTPS": "on"}
        normalise(params)
        assert (params["SERVER_NAME"], params["SERVER_PORT"]) == ("10.0.0.1", "443")


characters = st.characters(max_codepoint=255, exclude_characters="\0")
segments = st.one_of(
    st.sampled_from(["a", "b.py", "run.fcgi", "..", ".", "", "%2F", "a b", "é"]), st.text(characters, max_size=4)
)
paths = st.lists(segments, max_size=5).map(lambda parts: "".join("/" + part for part in parts))
# A path as it is after a web server has cleaned it.
clean_paths = st.lists(
    st.text(st.characters(max_codepoint=255, exclude_characters="\0/"), min_size=1, max_size=5).filter(
        lambda part: part not in (".", "..")
    ),
    max_size=4,
).map(lambda parts: "".join("/" + part for part in parts))
anything = st.one_of(paths, st.text(characters, max_size=12))


def quoted(path: str) -> str:
    return quote_from_bytes(path.encode("latin-1"), safe="/")


requests = st.fixed_dictionaries(
    {},
    optional={
        "SCRIPT_NAME": anything,
        "PATH_INFO": anything,
        "DOCUMENT_URI": anything,
        "DOCUMENT_ROOT": anything,
        "REQUEST_URI": st.one_of(anything, paths.map(quoted)),
        "REDIRECT_URL": anything,
        "SCRIPT_FILENAME": st.one_of(anything, paths.map(lambda path: "proxy:fcgi://h" + quoted(path))),
        "HTTPS": st.sampled_from(["on", "off", ""]),
        "SERVER_NAME": st.sampled_from(["", "h"]),
        "HTTP_PROXY": anything,
    },
)


class TestLaws:
    @given(requests, st.one_of(st.none(), clean_paths, paths.filter(lambda path: not path.endswith("/"))))
    def test_nothing_but_bad_request_is_raised_and_a_second_round_changes_nothing(self, params, mount):
        try:
            normalise(params, mount)
        except BadRequest:
            return
        again = dict(params)
        normalise(again, mount)
        assert again == params

    @given(requests)
    def test_without_a_url_to_compare_with_no_character_of_the_path_is_lost(self, params):
        params.pop("REQUEST_URI", None)
        params.pop("REDIRECT_URL", None)
        before = params.get("SCRIPT_NAME", "") + params.get("PATH_INFO", "")
        normalise(params)
        assert params["SCRIPT_NAME"] + params["PATH_INFO"] == before

    @given(requests, clean_paths)
    def test_a_path_that_does_not_lie_under_the_mount_is_split_as_if_there_were_none(self, params, mount):
        assume(mount)
        params["REQUEST_URI"] = "/elsewhere"
        without = dict(params)
        normalise(without)
        normalise(params, mount)
        if params["SCRIPT_NAME"] != mount:
            assert params == without

    @given(clean_paths, clean_paths, st.integers(0, 50))
    def test_a_mount_splits_the_path_wherever_the_server_had_split_it(self, mount, rest, cut):
        full = mount + rest
        params = {"SCRIPT_NAME": full[:cut], "PATH_INFO": full[cut:]}
        normalise(params, mount)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == (mount, rest)

    @given(clean_paths, clean_paths, st.sampled_from(["/run.fcgi", "/app.py"]))
    def test_a_rewritten_url_gives_its_mount_back(self, mount, rest, program):
        path = rest + "/"
        params = {"SCRIPT_NAME": mount + program, "PATH_INFO": path, "REQUEST_URI": quoted(mount + path) + "?q"}
        normalise(params)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == (mount, path)

    @given(clean_paths, clean_paths)
    def test_a_proxied_url_gives_its_mount_back(self, mount, rest):
        path = rest + "/"
        params = {"SCRIPT_NAME": mount + path, "SCRIPT_FILENAME": "proxy:fcgi://app" + quoted(path)}
        normalise(params)
        assert (params["SCRIPT_NAME"], params["PATH_INFO"]) == (mount, path)

    @given(
        st.lists(st.tuples(st.sampled_from(["", "A", "HTTP_A", "HTTP_COOKIE", "x-y"]), st.text(max_size=3)), max_size=8)
    )
    def test_merging_loses_no_header_line(self, pairs):
        try:
            params = merge(pairs)
        except BadRequest:
            assert any("\0" in name + value for name, value in pairs)
            return
        assert set(params) == {name for name, _ in pairs} - {""}
        for name, joint in (("HTTP_A", ", "), ("HTTP_COOKIE", "; ")):
            values = [value for key, value in pairs if key == name]
            if len(values) > 1:
                assert params[name] == joint.join(value for value in values if value)
        for name in ("A", "x-y"):
            assert params.get(name) == dict(pairs).get(name)
