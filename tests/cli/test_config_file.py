"""This file tests how penstock.toml is read: values, the lines of keys, and a sentence for each mistake."""

from __future__ import annotations

import pytest

from penstock.cli.config_file import ConfigFile, Mistakes, find_lines, read
from penstock.manager.plan import Workers

FILE = """\
# all pools
workers = 4
io_timeout = "90s"
max_body = 1_000
reload_on = "deploy"

[pool.blog]
app = "blog:app"
bind = [
  "unix:/run/blog.sock",
  "127.0.0.1:9000",
]
env = { A = "1,2", B = 3 }
access_log = false

[pool.shop]
app = "shop"
workers = "2..16"

[pool.shop.env]
C = ""
"""


def values(layer):
    return {name: item.value for name, item in layer.items()}


def mistakes(text):
    return Mistakes(ConfigFile("p.toml", text).mistakes).lines


def test_settings_stand_at_the_top_and_in_pools():
    file = ConfigFile("p.toml", FILE)
    assert file.mistakes == []
    assert values(file.top) == {
        "workers": Workers(4, 4),
        "io_timeout": 90.0,
        "max_body": 1000,
        "reload_on": ("deploy",),
    }
    assert values(file.pools["blog"]) == {
        "app": "blog:app",
        "bind": ("unix:/run/blog.sock", "127.0.0.1:9000"),
        "env": ("A=1,2", "B=3"),
        "access_log": False,
    }
    assert values(file.pools["shop"]) == {"app": "shop", "workers": Workers(2, 16), "env": ("C=",)}


def test_a_value_knows_its_line_also_after_values_of_several_lines():
    file = ConfigFile("p.toml", FILE.replace("\n", "\r\n"))
    assert str(file.top["workers"].where) == "p.toml:2: workers"
    assert str(file.pools["blog"]["bind"].where) == "p.toml:9: [pool.blog] bind"
    assert str(file.pools["blog"]["access_log"].where) == "p.toml:14: [pool.blog] access_log"
    assert str(file.pools["shop"]["env"].where) == "p.toml:20: [pool.shop] env"


def test_lines_are_found_in_each_way_to_write_toml():
    text = 'a = """\nb = 1\n"""\n"c d" = 1 # e = 1\n\nf.g = 2\n[h]\ni = { j = 1 }\n[[k]]\nl = 1\n'
    assert find_lines(text) == {
        ("a",): 1,
        ("c d",): 4,
        ("f",): 6,
        ("f", "g"): 6,
        ("h",): 7,
        ("h", "i"): 8,
        ("h", "i", "j"): 8,
        ("k",): 9,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("worker = 4", "1: worker: there is no such setting; did you mean workers?"),
        ("io-timeout = 4", "1: io-timeout: there is no such setting; did you mean io_timeout?"),
        ("zzz = 4", "1: zzz: there is no such setting; penstock serve --help has them"),
        ("[pools.a]", "1: pools: there is no such setting; did you mean pool?"),
        ("config = 'x'", "1: config: there is no such setting"),
        ("\nworkers = '8..2'", "2: workers: the minimum 8 is above the maximum 2"),
        ("workers = 0", "1: workers: 0 workers cannot serve anything"),
        ("workers = true", "1: workers: true or false does not fit; write a number or a text in quotes"),
        ("workers = [4]", "1: workers: a list does not fit; write a number or a text in quotes"),
        ("threads = 1.5", "1: threads: a number does not fit"),
        ("io_timeout = -1", "1: io_timeout: '-1' is no duration"),
        ("socket_mode = 440", "1: socket_mode: a number does not fit; write a text in quotes"),
        ("access_log = 'off'", "1: access_log: a text does not fit; write true or false"),
        ("preload = 'maybe'", "1: preload: 'maybe' is none of auto, yes, no"),
        ("bind = '9000'", "1: bind: '9000' is no address to listen at"),
        ("bind = [1]", "1: bind: a number does not fit; write a text in quotes"),
        ("pid = 2026-01-01", "1: pid: a date or time does not fit"),
        ("env = 'A=1'", "1: env: a text does not fit; write a table"),
        ("env = { A = true }", "1: env: A: true or false is no variable's value"),
        ("nice = 40", "1: nice: '40' is no niceness"),
        ("pool = 3", "1: [pool]: pools are tables with a name; write [pool.blog]"),
        ("[pool]\napp = 'x'", "2: [pool.app]: a pool has a name; write [pool.blog], and app below it"),
        ("[pool.'a b']", "1: [pool.a b]: a pool's name has letters"),
        ("[pool.a]\npid = 'x'", "2: [pool.a] pid: there is one for all pools; write it at the top"),
    ],
)
def test_each_mistake_has_its_line_and_a_sentence(text, line):
    (told,) = mistakes(text)
    assert told.startswith(f"p.toml:{line}")


def test_all_mistakes_are_told_in_the_order_of_the_file():
    lines = mistakes("a1 = 1\n[pool.x]\nthreads = 0\n[pool.y]\nb1 = 1\nworkers = 'no'\n")
    assert [line.split(":")[1] for line in lines] == ["1", "3", "5", "6"]


def test_what_is_no_toml_is_told_with_its_line():
    (told,) = mistakes("a = 1\nb = = 2\n")
    assert told.startswith("p.toml: this is no TOML: ")
    assert "line 2" in told


@pytest.mark.parametrize(
    ("content", "told"), [(None, "it cannot be read: No such file"), (b"a = '\xff'", "byte 6 is not")]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, told):
    path = tmp_path / "p.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Mistakes, match=told) as caught:
        read(str(path))
    assert caught.value.lines[0].startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["max_memory = 'off'", "max_memory = 0", "max_memory = '0'"])
def test_a_limit_may_be_off(text):
    assert values(ConfigFile("p.toml", text).top) == {"max_memory": 0}
