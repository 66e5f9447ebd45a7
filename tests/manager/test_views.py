"""This file tests how a status is shown: as text, JSON, HTML and OpenMetrics, whatever strangers have put into it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from penstock.manager import figures
from penstock.manager.openmetrics import NotInstalled
from penstock.manager.views import FORMS, form_of, render
from tests.cli.supervisors import STATUS, a_status
from tests.processes import ROOT

HOSTILE = "GET /<script>alert('1')</script>&\"\x1b]2;x\x07\r\n\u202e\udcff"


class Elements(HTMLParser):
    """The elements and attributes of a page, and the text between."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


def hostile():
    """A status in which a stranger has written every text that he can."""
    status = a_status()
    status["version"] = HOSTILE
    status["last_reload"] = {"ok": False, "at": HOSTILE, "error": HOSTILE}
    status["exits"] = {HOSTILE: 1}
    pool = status["pools"][0]
    pool |= {"name": HOSTILE, "app": HOSTILE, "bind": [HOSTILE, HOSTILE], "state": HOSTILE}
    pool["workers"][0] |= {"state": HOSTILE, "request": HOSTILE}
    return status


def test_text_is_a_head_and_a_table_for_each_pool():
    assert render("text", STATUS).body.decode() == (
        "penstock 0.1.0, process 4711, up 2h15m, generation 3\n"
        "requests 1,234,567   reloads 2 ok, 1 failed   spawns 14   timeouts 1   slow 2   log lines lost 0\n"
        "exits SIGKILL (1), exit status 0 (9)\n"
        "the last reload failed at 2026-03-01T12:00:00+00:00; the generation before it serves:\n"
        "  Traceback:\n"
        "    import nope <b>\n"
        "  ImportError\n"
        "\n"
        "blog  blog:app  serving  workers 2 of 2..8 (1 busy, 1 leaving)  queue 3 of 2,048  requests 1,234,000\n"
        "  unix:/run/blog.sock  127.0.0.1:9000\n"
        "   PID  GEN  STATE    SINCE  REQUESTS    MEMORY    CPU  REQUEST\n"
        "  4801    3  busy      0.3s     5,120  34.0 MiB    12s  GET /<script>alert(1)</script>\n"
        "  4710    2  leaving  1m05s    99,120  95.1 MiB  1h06m  'POST /\\u202etxt.exe\\x1b]2;x\\x07[red]'\n"
        "\n"
        "shop  shop.wsgi  backing off  workers 0 of 0..4 (none)  queue -  requests 567\n"
        "  unix:/run/shop.sock\n"
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_control_character_reaches_a_terminal(form):
    shown = render(form, hostile()).body.decode()
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert len(shown.splitlines()) == shown.count("\n")


def test_json_is_the_status_itself():
    assert json.loads(render("json", STATUS).body) == STATUS


def test_a_script_in_a_request_is_text_in_the_page():
    page = render("html", STATUS).body
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert b"<script" not in page


def test_a_stranger_s_words_make_no_element_and_no_attribute_wherever_they_stand():
    plain, attacked = Elements(render("html", STATUS).body), Elements(render("html", hostile()).body)
    assert attacked.names == plain.names
    assert attacked.attributes == plain.attributes
    assert attacked.text.count("<script>") >= 8
    assert not {name for name in attacked.attributes if name.startswith("on") or name in ("style", "src")}


def test_the_page_s_policy_allows_its_style_sheet_and_nothing_else():
    view = render("html", STATUS)
    headers = dict(view.headers)
    policy = headers["Content-Security-Policy"]
    style = re.search(rb"<style>(.*?)</style>", view.body, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    assert "unsafe" not in policy
    assert headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("form", FORMS)
def test_each_form_says_what_it_is_and_is_not_guessed_at_or_kept(form):
    headers = dict(render(form, STATUS).headers)
    assert headers["Content-Type"].split(";")[0] in {
        "html": "text/html",
        "json": "application/json",
        "openmetrics": "application/openmetrics-text",
        "text": "text/plain",
    }.get(form, "")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_pool_has_a_lamp_for_each_worker_there_may_be_up_to_a_limit():
    status = a_status()
    assert render("html", status).body.count(b"<i") == 8 + 4
    status["pools"][0]["max"] = 5000
    assert render("html", status).body.count(b"<i") == 200 + 4


def test_a_status_in_which_all_is_well_has_no_alarm():
    status = a_status() | {"last_reload": {"ok": True, "error": None, "at": "now"}, "exits": {}}
    for form in ("text", "html"):
        assert b"failed at" not in render(form, status).body
    assert b"failed at" not in render("html", status | {"last_reload": None}).body


def test_openmetrics_is_read_by_the_reader_of_prometheus():
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    text = render("openmetrics", hostile()).body.decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["penstock_generation",] == 3
    assert values["penstock_reloads_total", "failed"] == 1
    assert values["penstock_spawns_total",] == 14
    assert values["penstock_requests_total", "shop"] == 567
    assert values["penstock_ready", "shop"] == 0
    assert values["penstock_workers", "shop", "busy"] == 0
    assert values["penstock_workers_max", "shop"] == 4
    assert ("penstock_listen_queue_pending", "shop") not in values
    assert text.endswith("# EOF\n")


def test_openmetrics_names_the_workers_of_each_pool():
    text = render("openmetrics", STATUS).body.decode()
    for line in (
        'penstock_info{version="0.1.0"} 1.0',
        'penstock_ready{pool="blog"} 1.0',
        'penstock_workers{pool="blog",state="leaving"} 1.0',
        'penstock_requests_active{pool="blog"} 2.0',
        'penstock_listen_queue_pending{pool="blog"} 3.0',
        'penstock_worker_resident_bytes{pid="4801",pool="blog"} 3.5651584e+07',
        'penstock_worker_cpu_seconds_total{pid="4801",pool="blog"} 12.4',
        'penstock_exits_total{cause="SIGKILL"} 1.0',
    ):
        assert f"{line}\n" in text


def test_the_documentation_names_every_key_and_every_metric():
    page = Path(ROOT, "docs", "workers.md").read_text(encoding="utf-8")
    pool = STATUS["pools"][0]
    for key in {*STATUS, *pool, *pool["workers"][0]}:
        assert f"`{key}`" in page, key
    for name in re.findall(r"^penstock_(\w+)[{ ]", render("openmetrics", STATUS).body.decode(), re.MULTILINE):
        assert f"`{name}`" in page, name


def test_a_pool_is_not_ready_while_only_workers_of_an_older_generation_serve():
    status = a_status()
    status["pools"][0]["generation"] = 4
    assert 'penstock_ready{pool="blog"} 0.0' in render("openmetrics", status).body.decode()


def test_without_its_package_openmetrics_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(NotInstalled, match=r"pip install 'penstock\[metrics\]'"):
        render("openmetrics", STATUS)


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("", "html"),
        ("json", "json"),
        ("text=1&x", "text"),
        ("openmetrics", "openmetrics"),
        ("xml", "html"),
        ("%00", "html"),
    ],
)
def test_a_query_string_chooses_the_form(query, form):
    assert form_of(query) == form


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0, "0.0s"), (9.94, "9.9s"), (59.9, "59s"), (75, "1m15s"), (7500, "2h05m"), (180000, "2d02h")],
)
def test_times_have_two_units_at_most(seconds, text):
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_have_the_unit_that_fits(number, text):
    assert figures.size(number) == text


def test_a_long_request_is_cut():
    assert len(figures.text("x" * 100_000)) < 2100
