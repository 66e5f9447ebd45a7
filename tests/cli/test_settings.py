"""This file holds the table of settings to its word: flags, environment, keywords of `serve` and docs are one thing."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import penstock.cli.serve
from penstock.cli import values
from penstock.cli.main import main
from penstock.cli.manager_settings import MANAGER_SETTINGS
from penstock.cli.setting import markdown
from penstock.cli.settings import DEV_SETTINGS, SETTINGS
from penstock.protocol.spec import Role
from penstock.server.serving import DEFAULT_BIND, serve
from tests.processes import ROOT

# What Python code can say and a command line cannot.
NOT_SETTINGS = {"on_ready"}
DEFAULTS = serve.__kwdefaults__ or {}

# For each setting: text as a flag has it, and the keyword it becomes.
WRITTEN = {
    "bind": ("unix:/tmp/a.sock", ("unix:/tmp/a.sock",)),
    "socket_mode": ("0600", 0o600),
    "socket_owner": ("www-data", "www-data"),
    "socket_group": ("33", "33"),
    "allow": ("192.0.2.1,198.51.100.0/24", ("192.0.2.1", "198.51.100.0/24")),
    "insecure_public": ("on", True),
    "protocol": ("scgi", "scgi"),
    "interface": ("asgi", "asgi"),
    "threads": ("4", 4),
    "mount": ("/app", "/app"),
    "roles": ("responder,authorizer", (Role.RESPONDER, Role.AUTHORIZER)),
    "stream_body": ("on", True),
    "max_body": ("10m", 10 << 20),
    "body_memory": ("64k", 1 << 16),
    "io_timeout": ("90s", 90.0),
    "graceful_timeout": ("1m", 60.0),
    "max_queue_age": ("10s", 10.0),
    "access_log": ("off", False),
    "access_log_format": ("json", "json"),
    "log_level": ("error", "error"),
}


@pytest.fixture
def served(monkeypatch, tmp_path):
    """The keywords with which `penstock serve` called `serve`."""
    keywords = {}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(penstock.cli.serve, "find", lambda app: app)
    monkeypatch.setattr(penstock.cli.serve, "serve", lambda app, on_ready, **given: keywords.update(given))
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    for setting in (*SETTINGS, *MANAGER_SETTINGS):
        monkeypatch.delenv(setting.env, raising=False)
    return keywords


def flags(setting, text):
    if setting.kind is values.SWITCH:
        return [setting.flag if text == "on" else setting.negative_flag]
    return [setting.flag, text]


def test_the_rows_are_the_keywords_of_serve_in_its_own_order_of_words():
    keywords = {name for name, p in inspect.signature(serve).parameters.items() if p.kind is p.KEYWORD_ONLY}
    names = [setting.name for setting in SETTINGS]
    assert set(names) == keywords - NOT_SETTINGS
    assert len(names) == len(set(names))
    assert set(WRITTEN) == set(names)


def test_without_a_word_serve_gets_its_own_defaults(served):
    assert main(["serve", "blog:app"]) == 0
    own = {name: value for name, value in DEFAULTS.items() if name not in NOT_SETTINGS}
    # Nobody has passed a socket on to this process, so the command takes its own place.
    assert served == own | {"bind": DEFAULT_BIND}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_a_flag(served, setting):
    text, value = WRITTEN[setting.name]
    assert value != setting.default
    assert main(["serve", "blog:app", *flags(setting, text)]) == 0
    assert served[setting.name] == value


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_each_setting_is_an_environment_variable(served, setting, monkeypatch):
    text, value = WRITTEN[setting.name]
    monkeypatch.setenv(setting.env, text)
    assert main(["serve", "blog:app"]) == 0
    assert served[setting.name] == value


def test_the_command_line_wins_over_the_environment_and_an_empty_variable_says_nothing(served, monkeypatch):
    monkeypatch.setenv("PENSTOCK_THREADS", "8")
    monkeypatch.setenv("PENSTOCK_MAX_BODY", "")
    monkeypatch.setenv("PENSTOCK_STREAM_BODY", "on")
    assert main(["serve", "blog:app", "--threads", "2", "--no-stream-body"]) == 0
    assert served["threads"] == 2
    assert served["stream_body"] is False
    assert served["max_body"] == DEFAULTS["max_body"]


def test_a_repeated_flag_and_a_list_with_commas_are_the_same(served, monkeypatch):
    assert main(["serve", "b", "--bind", "unix:/tmp/a", "--bind", "127.0.0.1:9000, [::1]:9000"]) == 0
    assert served["bind"] == ("unix:/tmp/a", "127.0.0.1:9000", "[::1]:9000")
    monkeypatch.setenv("PENSTOCK_BIND", "unix:/tmp/with space,127.0.0.1:9000")
    assert main(["serve", "b"]) == 0
    assert served["bind"] == ("unix:/tmp/with space", "127.0.0.1:9000")


@pytest.mark.parametrize(("env", "text"), [("PENSTOCK_THREADS", "many"), ("PENSTOCK_ACCESS_LOG", "maybe")])
def test_a_wrong_environment_variable_is_named(served, monkeypatch, capsys, env, text):
    monkeypatch.setenv(env, text)
    assert main(["serve", "blog:app"]) == 2
    assert f"penstock serve: {env}: {text!r} is " in capsys.readouterr().err


def test_no_setting_of_workers_is_one_of_serve_too_and_each_has_its_own_default():
    names = [setting.name for setting in (*SETTINGS, *MANAGER_SETTINGS)]
    assert len(names) == len(set(names))
    assert len({setting.flag for setting in MANAGER_SETTINGS}) == len(MANAGER_SETTINGS)


@pytest.mark.parametrize("setting", [*SETTINGS, *MANAGER_SETTINGS, *DEV_SETTINGS], ids=lambda setting: setting.name)
def test_a_default_that_is_shown_is_the_default(setting):
    if setting.shown_default and not setting.unset:
        value = [setting.kind.parse(word) for word in setting.shown_default.split(",")]
        assert value == (list(setting.default) if setting.kind.many else [setting.default])


@pytest.mark.parametrize(("command", "settings"), [("serve", (*SETTINGS, *MANAGER_SETTINGS)), ("dev", DEV_SETTINGS)])
def test_the_help_of_a_command_shows_each_of_its_settings_once(command, settings, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for setting in settings:
        usage = setting.usage.split()[0]
        assert len(re.findall(rf"^  {re.escape(usage)}\b(?!-)", shown, re.MULTILINE)) == 1, usage


@pytest.mark.parametrize(
    ("table", "settings"), [("serve", SETTINGS), ("workers", MANAGER_SETTINGS), ("dev", DEV_SETTINGS)]
)
def test_the_documentation_is_in_step_with_the_table(table, settings):
    """`python -m penstock.cli.settings` prints what has to stand there."""
    page = Path(ROOT, "docs", "cli.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {table}: made[^\n]*\n(.*?)<!-- {table}: end -->", page, re.DOTALL)
    assert found is not None
    assert found[1].strip() == markdown(settings)
