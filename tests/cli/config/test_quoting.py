"""This file reads back what `quoting.py` writes, by each language's own rules: what went in comes out, as one word."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.config import quoting
from penstock.cli.config.quoting import Refused

# What `site.py` lets through: no control characters. The marks that mean something somewhere come up often.
paths = st.text(
    st.sampled_from(" \"'\\$%{}#;`|<>&*?[]():,!~") | st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")),
    max_size=12,
).map("/".__add__)
common = st.text("abcXYZ019_./:=@+-\u00e9", max_size=20).map("/".__add__)


def double_quoted(escapes: str):
    """A reader of "words" in which a backslash escapes these characters, and stands for itself before all others."""

    def read(word: str) -> str:
        assert word[0] == word[-1] == '"'
        assert len(word) > 1
        escaped = rf"\\[{re.escape(escapes)}]" if escapes else "(?!)"
        pieces = re.findall(rf'{escaped}|[^"]', word[1:-1])
        assert "".join(pieces) == word[1:-1], "a quote ends it early"
        return "".join(piece[1:] if len(piece) == 2 else piece for piece in pieces)

    return read


def backticked(word: str) -> str:
    assert word[0] == word[-1] == "`"
    assert "`" not in word[1:-1]
    return word[1:-1]


def a_shell_word(word: str) -> str:
    (read,) = shlex.split(word)
    return read


def systemd_word(word: str) -> str:
    text = double_quoted('"\\')(word) if word.startswith('"') else word
    assert word.startswith('"') or not re.search(r"[\s;'\\]", word)
    assert not re.search(r"(?<!%)(?:%%)*%(?!%)|(?<!\$)(?:\$\$)*\$(?!\$)", text)
    return text.replace("%%", "%").replace("$$", "$")


def after_percent(text: str) -> str:
    """As supervisor reads a value: comments cut, then Python's % formatting."""
    value: str = re.split(r"\s[;#]", text)[0] % {"program_name": "no"}
    return value


READERS = {
    "nginx": (quoting.nginx, double_quoted('"\\')),
    "apache": (quoting.apache, double_quoted('"\\')),
    "apache_directory": (quoting.apache_directory, double_quoted('"\\')),
    "lighttpd": (quoting.lighttpd, double_quoted('"')),
    "caddy": (quoting.caddy, backticked),
    "caddy_address": (quoting.caddy_address, backticked),
    "haproxy": (quoting.haproxy, a_shell_word),
    "haproxy_address": (quoting.haproxy_address, a_shell_word),
    "h2o": (quoting.h2o, json.loads),
    "openbsd": (quoting.openbsd, double_quoted("")),
    "systemd": (quoting.systemd, systemd_word),
    "systemd_line": (quoting.systemd_line, lambda line: line.replace("%%", "%")),
    "supervisor": (quoting.supervisor, lambda word: a_shell_word(after_percent(word))),
    "supervisor_line": (quoting.supervisor_line, after_percent),
    "shell": (quoting.shell, a_shell_word),
}

# What a language replaces even between quotes, and nobody can keep it from doing that.
REPLACED = {"nginx": r"\$", "apache": r"\$\{", "apache_directory": r"\$\{", "caddy": r"[{}]", "haproxy_address": r"\$"}


@pytest.mark.parametrize("name", READERS)
@given(paths)
def test_a_word_is_read_as_it_was_meant_or_refused_in_a_sentence(name, path):
    quote, read = READERS[name]
    try:
        word = quote(path)
    except Refused as error:
        sentence = str(error)
    else:
        assert read(word) == path
        assert "\n" not in word
        assert not re.search(REPLACED.get(name, r"(?!)"), word)
        return
    assert re.fullmatch(r"'?\"?/.* (?:holds .*|cannot hold); choose another name", sentence)


@pytest.mark.parametrize("name", READERS)
@given(common)
def test_a_common_path_is_never_refused(name, path):
    quote, read = READERS[name]
    if not (name == "caddy_address" and ":" in path):
        assert read(quote(path)) == path


@pytest.mark.parametrize("quote", [quoting.apache_wrapper, quoting.lighttpd_command])
@given(st.lists(paths, min_size=1))
def test_a_command_line_that_is_cut_at_spaces_is_cut_where_its_words_end(quote, words):
    try:
        line = quote(words)
    except Refused:
        return
    read = double_quoted('"\\' if quote is quoting.apache_wrapper else '"')
    assert read(line).split(" ") == words


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        (quoting.nginx, "/a$b"),
        (quoting.apache, "/a${HOME}b"),
        (quoting.apache_directory, "/a*"),
        (quoting.apache_url, "unix:/a|b|fcgi://blog/"),
        (quoting.apache_url, "unix:/a%b|fcgi://blog/"),
        (quoting.apache_rule, "a b.fcgi"),
        (quoting.lighttpd, "/a\\b"),
        (quoting.caddy, "/a{env.HOME}"),
        (quoting.caddy, "/a`b"),
        (quoting.caddy_address, "unix//a:b"),
        (quoting.haproxy_address, "unix@/a$b"),
        (quoting.openbsd, '/a"b'),
        (quoting.systemd_line, "/a\\"),
        (quoting.supervisor_line, "/a ;b"),
        (quoting.supervisor, "/a\u00a0#b"),
    ],
)
def test_what_a_language_cannot_write_is_refused(quote, text):
    with pytest.raises(Refused, match="choose another name"):
        quote(text)
