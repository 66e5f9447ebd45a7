"""This file tests the plan: which source wins, what a pool gets from where, and what is wrong between the parts."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from penstock.cli.config_file import ConfigFile, Mistakes, Written
from penstock.cli.main import main
from penstock.cli.manager_settings import MANAGER_SETTINGS
from penstock.cli.planning import make_plan
from penstock.manager.plan import Plan, PoolPlan, WorkerLimits, Workers
from penstock.server.homes import Home
from penstock.server.serving import DEFAULT_BIND, serve

WRITTEN = {
    "workers": ("2..16", Workers(2, 16)),
    "preload": ("no", "no"),
    "user": ("nobody", "nobody"),
    "group": ("nogroup", "nogroup"),
    "env": ("A=1,2", {"A": "1,2"}),
    "chdir": ("/", "/"),
    "access_log_file": ("access.log", "access.log"),
    "boot_timeout": ("5s", 5.0),
    "request_timeout": ("1m", 60.0),
    "slow_log": ("2s", 2.0),
    "worker_idle": ("1m", 60.0),
    "max_requests": ("1000000", 1_000_000),
    "max_requests_jitter": ("50", 50),
    "max_lifetime": ("1h", 3600.0),
    "max_memory": ("200m", 200 << 20),
    "nofile": ("4096", 4096),
    "nice": ("5", 5),
    "pid": ("/run/x.pid", "/run/x.pid"),
    "control": ("/run/x.control", "/run/x.control"),
    "slow_log_file": ("slow.log", "slow.log"),
    "probation": ("off", 0),
    "reload_on": ("a,b", ("a", "b")),
    "status_bind": ("unix:/run/status", "unix:/run/status"),
}
ELSEWHERE = {"chdir": "directory", "pid": "pid_file"}


@pytest.fixture
def planned(monkeypatch, tmp_path):
    """The plans that `penstock serve` handed to the supervisor."""
    plans = []

    def supervise(plan, replan):
        plans.append((plan, replan))
        return 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("penstock.manager.entry.supervise", supervise)
    for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
        monkeypatch.delenv(name)
    return plans


def found(plan, name):
    """The value of a setting, wherever the plan has it."""
    name = ELSEWHERE.get(name, name)
    for part in (plan, plan.pools[0], plan.pools[0].limits):
        if hasattr(part, name):
            return getattr(part, name)
    raise AssertionError(name)


def plan(text, app=None, **own):
    return make_plan(
        app, {name: Written(value, f"--{name}") for name, value in own.items()}, ConfigFile("p.toml", text)
    )


def mistakes(text, app=None, **own):
    with pytest.raises(Mistakes) as caught:
        plan(text, app, **own)
    return caught.value.lines


def test_each_setting_of_workers_is_written_down_here():
    assert set(WRITTEN) == {setting.name for setting in MANAGER_SETTINGS} - {"config"}


@pytest.mark.parametrize("name", WRITTEN)
def test_each_setting_makes_a_plan_of_one_worker_and_is_in_it(planned, name):
    text, value = WRITTEN[name]
    assert main(["serve", "blog:app", f"--{name.replace('_', '-')}", text]) == 0
    (made, _), default = planned[0], PoolPlan("main", "blog:app")
    assert found(made, name) == value
    (pool,) = made.pools
    assert (pool.name, pool.app, pool.bind) == ("main", "blog:app", (DEFAULT_BIND,))
    for other in WRITTEN.keys() - {name}:
        assert found(made, other) == found(Plan((default,)), other)


def test_each_setting_is_an_environment_variable_too(planned, monkeypatch):
    for name, (text, _) in WRITTEN.items():
        monkeypatch.setenv(f"PENSTOCK_{name.upper()}", text)
    assert main(["serve", "blog:app"]) == 0
    for name, (_, value) in WRITTEN.items():
        assert found(planned[0][0], name) == value


def test_the_limits_of_workers_are_all_settings():
    assert {field.name for field in fields(WorkerLimits)} <= WRITTEN.keys()


def test_a_pool_without_a_word_has_the_defaults_of_serve():
    (pool,) = plan("app = 'blog:app'").pools
    defaults = dict(serve.__kwdefaults__ or {})
    assert pool == PoolPlan("main", "blog:app", (DEFAULT_BIND,), serving=pool.serving)
    assert pool.serving == {name: defaults[name] for name in pool.serving}
    assert defaults.keys() - pool.serving.keys() == {"bind", "on_ready"}


def test_the_command_line_wins_over_the_environment_that_over_the_file_and_a_pool_over_the_top(planned, monkeypatch):
    with open("penstock.toml", "w", encoding="utf-8") as file:
        file.write("threads = 2\nnice = 1\nworkers = 3\nmax_body = '1m'\n")
        file.write("[pool.a]\napp = 'a'\nbind = 'unix:a'\nthreads = 3\nnice = 2\nworkers = 4\n")
        file.write("[pool.b]\napp = 'b'\nbind = 'unix:b'\n")
    monkeypatch.setenv("PENSTOCK_NICE", "7")
    monkeypatch.setenv("PENSTOCK_WORKERS", "8")
    assert main(["serve", "--workers", "9"]) == 0
    a, b = planned[0][0].pools
    assert [(pool.serving["threads"], pool.limits.nice, pool.workers.most) for pool in (a, b)] == [(3, 7, 9), (2, 7, 9)]
    assert a.serving["max_body"] == 1 << 20


def test_variables_of_the_environment_add_up():
    made = plan("[env]\nA = '1'\nB = '1'\n[pool.x]\napp = 'x'\nenv = { B = '2', C = '2' }", env=("C=3", "D=a=b"))
    assert made.pools[0].env == {"A": "1", "B": "2", "C": "3", "D": "a=b"}


def test_a_reload_reads_the_file_again_and_keeps_the_command_line(planned, tmp_path):
    file = tmp_path / "penstock.toml"
    file.write_text("app = 'one'\nnice = 1\n")
    assert main(["serve", "--nofile", "64"]) == 0
    _, replan = planned[0]
    file.write_text("app = 'two'\nnice = 2\n")
    (pool,) = replan().pools
    assert (pool.app, pool.limits.nice, pool.limits.nofile) == ("two", 2, 64)
    file.write_text("app = 'two'\nnice = 99\n")
    with pytest.raises(Mistakes, match="penstock.toml:2: nice: "):
        replan()


def test_a_socket_that_was_passed_is_the_pool_s_for_a_reload_too(planned, monkeypatch):
    monkeypatch.setattr("penstock.cli.planning.find_home", lambda environ: Home.FASTCGI)
    assert main(["serve", "blog:app", "--workers", "2"]) == 0
    made, replan = planned[0]
    monkeypatch.setattr("penstock.cli.planning.find_home", lambda environ: Home.SHELL)  # it has been taken
    assert made.pools[0].bind == replan().pools[0].bind == ()


def test_app_and_a_file_of_settings_make_the_only_pool(planned, tmp_path):
    (tmp_path / "s.toml").write_text("app = 'other'\nworkers = 4\n")
    assert main(["serve", "blog:app", "--config", "s.toml"]) == 0
    (pool,) = planned[0][0].pools
    assert (pool.app, pool.workers) == ("blog:app", Workers(4, 4))


def test_without_app_and_file_the_message_says_what_to_write(planned, capsys):
    assert main(["serve"]) == 2
    assert (
        "there is no APP, and no penstock.toml here; write APP as in blog:app, or --config FILE"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("threads = 2", "p.toml: it names no application; write app ="),
        ("[pool.a]\nbind = 'unix:a'", "p.toml:1: [pool.a]: app is missing"),
        ("app = 'x'\n[pool.a]\napp = 'a'", "p.toml:1: app: the file has pools, and each names its own application"),
        ("app = 'x'\nuser = 'no-such-user'", "p.toml:2: user: there is no user 'no-such-user'"),
        ("app = 'x'\ngroup = 'no-such-group'", "p.toml:2: group: there is no group 'no-such-group'"),
        ("app = 'x'\nsocket_owner = 'no-such-user'", "p.toml:2: socket_owner: there is no user 'no-such-user'"),
        ("app = 'x'\nchdir = '/no/such'", "p.toml:2: chdir: /no/such is no folder"),
        (
            "app = 'x'\nbind = 'unix:a'\nstatus_bind = 'unix:./a'",
            "p.toml:3: status_bind: unix:./a is taken by pool main",
        ),
        ("app = 'x'\nbind = 'unix:a'\ncontrol = 'a'", "p.toml:3: control: unix:a is taken by pool main"),
        ("app = 'x'\nbind = ['[::1]:90', '[::1]:90']", "p.toml:2: bind: [::1]:90 is taken by pool main already"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, told):
    (line,) = mistakes(text)
    assert line.startswith(told)


def test_a_mistake_at_the_top_is_told_once_for_all_pools():
    text = "user = 'no-such-user'\n[pool.a]\napp = 'a'\nbind = 'unix:a'\n[pool.b]\napp = 'b'\nbind = 'unix:b'\n"
    assert len(mistakes(text)) == 1


def test_one_access_log_has_one_user():
    text = "access_log_file = 'l'\nuser = 'daemon'\n[pool.a]\napp = 'a'\nbind = 'unix:a'\n"
    text += "[pool.b]\napp = 'b'\nbind = 'unix:b'\n"
    plan(text)
    (line,) = mistakes(text + "user = 'nobody'")
    assert line == "p.toml:1: access_log_file: pool a writes l as another user; give pool b a file of its own"
    plan(text + "user = 'nobody'\naccess_log = false")
    plan(text + "user = 'nobody'\naccess_log_file = 'own'")


@pytest.mark.parametrize("other", ["unix:a.sock", "unix:{here}/a.sock", "unix:{here}/./link/a.sock"])
def test_two_pools_on_one_socket_are_refused_however_its_name_is_spelt(tmp_path, monkeypatch, other):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    second = other.format(here=tmp_path)
    text = f"[pool.a]\napp = 'a'\nbind = 'unix:a.sock'\n[pool.b]\napp = 'b'\nbind = '{second}'\n"
    (line,) = mistakes(text)
    assert line == f"p.toml:6: [pool.b] bind: {second} is taken by pool a already; give pool b another"


def test_pools_that_say_nothing_of_an_address_are_refused_when_there_are_several():
    (line,) = mistakes("[pool.a]\napp = 'a'\nbind = 'unix:a'\n[pool.b]\napp = 'b'\n")
    assert line.startswith("p.toml:5: [pool.b] app: with several pools each says where it listens")


def test_app_beside_a_file_with_pools_is_refused():
    (line,) = mistakes("[pool.a]\napp = 'a'", app="blog:app")
    assert line == "p.toml:1: [pool.a]: the file has its own pools; leave APP (blog:app) out"


def test_several_mistakes_are_told_together_with_exit_code_2(planned, tmp_path, capsys):
    (tmp_path / "penstock.toml").write_text("app = 'x'\nthread = 1\nnice = 99\n")
    assert main(["serve", "--user", "no-such-user"]) == 2
    assert capsys.readouterr().err == (
        "penstock serve: 3 settings are wrong\n"
        "  penstock.toml:2: thread: there is no such setting; did you mean threads?\n"
        "  penstock.toml:3: nice: '99' is no niceness; write a number from -20 to 19\n"
        "  --user: there is no user 'no-such-user'; make it, or name another one\n"
    )
    assert planned == []


def test_a_cgi_program_has_no_workers(planned, monkeypatch, capsys):
    monkeypatch.setenv("GATEWAY_INTERFACE", "CGI/1.1")
    monkeypatch.setattr("os.isatty", lambda fd: False)
    assert main(["serve", "blog:app", "--workers", "2"]) == 2
    assert "a CGI program answers one request and has no workers" in capsys.readouterr().err
