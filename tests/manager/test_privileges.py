"""Tests of becoming another user: all of it, for good, or a sentence that says why not."""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import resource
import shutil
import subprocess

import pytest

from penstock.manager.privileges import (
    Identity,
    allow_files,
    check_identity,
    drop_privileges,
    find_identity,
    limit_process,
    root_warning,
)
from tests.manager.forked import in_child

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")

NOBODY = pwd.getpwnam("nobody")
FREE = 54321  # a number that nobody has
PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS = 3, 39


def who() -> dict[str, object]:
    """All that the kernel says of the running process."""
    with open("/proc/self/status", encoding="utf-8") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    libc = ctypes.CDLL(None)
    return {
        "uids": [int(word) for word in fields["Uid"].split()],
        "gids": [int(word) for word in fields["Gid"].split()],
        "groups": sorted(os.getgroups()),
        "capabilities": int(fields["CapEff"], 16),
        "dumpable": libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0),
        "no_new_privs": libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0),
    }


def drop(identity: Identity | None, **options: bool) -> dict[str, object]:
    drop_privileges(identity, **options)
    return who()


def test_without_user_and_group_there_is_nothing_to_become():
    assert find_identity(None, None) is None
    before = in_child(who)
    assert in_child(lambda: drop(None)) == before


def test_a_user_is_found_by_name_and_by_number_with_its_primary_group():
    by_name = find_identity("nobody", None)
    assert by_name == find_identity(str(NOBODY.pw_uid), None)
    assert by_name == Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody", NOBODY.pw_dir, NOBODY.pw_shell)
    assert by_name.environ()["HOME"] == NOBODY.pw_dir
    assert by_name.environ()["USER"] == "nobody"


def test_a_group_goes_with_a_user_or_alone():
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    both = find_identity(str(os.geteuid()), group)
    assert both is not None
    assert (both.uid, both.gid) == (os.geteuid(), NOBODY.pw_gid)
    assert find_identity(None, group) == both
    assert find_identity(None, str(NOBODY.pw_gid)) == both


def test_a_number_without_a_user_needs_a_group():
    assert find_identity(str(FREE), str(FREE)) == Identity(FREE, FREE)
    assert Identity(FREE, FREE).environ() == {}
    with pytest.raises(ValueError, match=f"user {FREE} is not in the user database.* name the group"):
        find_identity(str(FREE), None)


@pytest.mark.parametrize("name", ["no-such-user", "", "-1", "4294967295", "99999999999", "²", "a\x00b"])
def test_an_unknown_user_is_named(name):
    with pytest.raises(ValueError, match="there is no user ") as caught:
        find_identity(name, "0")
    assert ascii(name) in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-group", "", "4294967295"])
def test_an_unknown_group_is_named(name):
    with pytest.raises(ValueError, match="there is no group ") as caught:
        find_identity("nobody", name)
    assert ascii(name) in str(caught.value)


@needs_root
def test_root_becomes_the_user_in_every_respect():
    state = in_child(lambda: drop(find_identity("nobody", None)))
    assert state["uids"] == [NOBODY.pw_uid] * 4
    assert state["gids"] == [NOBODY.pw_gid] * 4
    assert state["groups"] == sorted(set(os.getgrouplist("nobody", NOBODY.pw_gid)))
    assert state["capabilities"] == 0
    assert (state["dumpable"], state["no_new_privs"]) == (0, 1)


@needs_root
def test_the_groups_of_root_are_left_behind_also_by_a_user_without_a_name():
    def changed():
        os.setgroups([0, 4, 27])
        return drop(Identity(FREE, FREE))

    state = in_child(changed)
    assert (state["uids"], state["gids"], state["groups"]) == ([FREE] * 4, [FREE] * 4, [FREE])


@needs_root
def test_a_group_alone_leaves_the_user():
    state = in_child(lambda: drop(find_identity(None, str(NOBODY.pw_gid))))
    assert (state["uids"], state["gids"]) == ([0] * 4, [NOBODY.pw_gid] * 4)


@needs_root
def test_there_is_no_way_back():
    def attempts():
        drop_privileges(find_identity("nobody", None))
        refused = []
        for attempt in (os.setuid, os.seteuid, os.setgid, os.setegid, lambda number: os.setgroups([number])):
            try:
                attempt(0)
            except PermissionError:
                refused.append(attempt)
        return len(refused)

    assert in_child(attempts) == 5


@needs_root
def test_a_way_back_that_is_open_is_an_error():
    def half():
        os.setresgid(NOBODY.pw_gid, NOBODY.pw_gid, NOBODY.pw_gid)
        os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, 0)
        drop_privileges(find_identity("nobody", None))

    with pytest.raises(PermissionError, match="the way back to root is open"):
        in_child(half)


@needs_root
def test_a_call_that_fails_is_an_error(monkeypatch):
    def refuse(_number):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "setuid", refuse)
    with pytest.raises(PermissionError, match="cannot become user nobody .*Resource temporarily unavailable"):
        in_child(lambda: drop(find_identity("nobody", None)))


@needs_root
def test_a_call_that_does_nothing_is_an_error(monkeypatch):
    monkeypatch.setattr(os, "setuid", lambda _number: None)
    with pytest.raises(PermissionError, match="did not do it"):
        in_child(lambda: drop(find_identity("nobody", None)))


@needs_root
def test_new_privileges_can_be_left_possible():
    state = in_child(lambda: drop(find_identity("nobody", None), no_new_privileges=False))
    assert (state["uids"], state["no_new_privs"]) == ([NOBODY.pw_uid] * 4, 0)


@needs_root
@pytest.mark.parametrize("allowed", [False, True])
def test_a_program_that_is_started_gains_nothing_by_its_setuid_bit_unless_allowed(allowed, sock_dir):
    program = sock_dir / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    sock_dir.chmod(0o755)

    def run():
        drop_privileges(find_identity("nobody", None), no_new_privileges=not allowed)
        return subprocess.run([program, "-u"], capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout

    assert int(in_child(run)) == (0 if allowed else NOBODY.pw_uid)


def test_who_is_that_user_already_stays_as_it_is():
    before = in_child(who)
    state = in_child(lambda: drop(Identity(os.geteuid(), os.getegid())))
    assert state == before | {"no_new_privs": 1}


@needs_root
def test_only_root_may_become_somebody_else():
    def other():
        drop_privileges(find_identity("nobody", None))
        check_identity(find_identity("nobody", None))
        check_identity(None)
        check_identity(find_identity("root", None))

    with pytest.raises(PermissionError, match=r"only root can run workers as user root .* this is uid 65534"):
        in_child(other)


@needs_root
def test_an_application_that_runs_as_root_is_worth_a_warning():
    assert "runs as root" in (root_warning(None) or "")
    assert "runs as root" in (root_warning(find_identity(None, "nogroup")) or "")
    assert root_warning(find_identity("nobody", None)) is None


def test_limits_are_set():
    def limited():
        before = os.nice(0)
        limit_process(nofile=200, nice=3)
        return resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0) - before

    assert in_child(limited) == ((200, 200), 3)


def test_no_limits_change_nothing():
    def same():
        before = resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0)
        limit_process()
        return before == (resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0))

    assert in_child(same)


def test_what_the_system_does_not_grant_is_said():
    def unprivileged(**limits):
        if os.geteuid() == 0:
            drop_privileges(find_identity("nobody", None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        limit_process(**limits)

    with pytest.raises(ValueError, match="cannot allow 300 open descriptors: only root may go beyond 200"):
        in_child(lambda: unprivileged(nofile=300))
    with pytest.raises(PermissionError, match="only root can set a niceness of -5"):
        in_child(lambda: unprivileged(nice=-5))
    with pytest.raises(ValueError, match="cannot allow 1099511627776 open descriptors"):
        in_child(lambda: limit_process(nofile=1 << 40))


def test_the_soft_limit_of_files_is_raised_and_the_hard_one_left_alone():
    def limits() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
        allow_files(200)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, hard)
        allow_files(150)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 120))
        allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (120, 120)

    in_child(limits)
