"""This file is the part of the table of settings that concerns workers and their supervisor; settings.py has the rest.

A row here is a key of penstock.toml as well. `penstock.serve` has no such keywords, so each row has its own default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.cli import values
from penstock.cli.setting import Setting
from penstock.manager.plan import PRELOAD, Plan, WorkerLimits, Workers

WORKERS: Final = "Workers"
SUPERVISOR: Final = "Supervisor"

_LIMITS: Final = WorkerLimits()

WORKER_SETTINGS: Final[Sequence[Setting]] = (
    Setting(
        "workers",
        values.WORKERS,
        WORKERS,
        "How many processes: 4, or 2..16 by load, 0..4 on demand.",
        "`0..4` keeps none while nobody asks, and boots one for the first request.",
        own_default=Workers(1, 1),
    ),
    Setting(
        "preload",
        values.choice(*PRELOAD),
        WORKERS,
        "Import the application once, before workers are forked.",
        "Workers then boot at once and share memory. `auto` does so unless the import has started threads;"
        " with `no` each worker imports it.",
        own_default="auto",
    ),
    Setting(
        "user",
        values.USER,
        WORKERS,
        "User the workers run as; for a start as root.",
        "A name or a number. The sockets are opened first; the application is imported as this user.",
        own_default=None,
    ),
    Setting(
        "group",
        values.GROUP,
        WORKERS,
        "Group the workers run as.",
        unset="the user's own groups",
        own_default=None,
    ),
    Setting(
        "env",
        values.ASSIGNMENTS,
        WORKERS,
        "Variable added to the environment of the workers.",
        own_default=(),
    ),
    Setting(
        "chdir",
        values.DIRECTORY,
        WORKERS,
        "Folder the workers run in; APP is looked for there.",
        "Other paths, such as those of sockets, stay relative to the folder penstock was started in.",
        own_default=None,
    ),
    Setting(
        "access_log_file",
        values.FILE,
        WORKERS,
        "Where access lines go.",
        "SIGUSR1 to the supervisor, or `penstock reopen`, goes on in a new file when this one has been renamed.",
        unset="standard output",
        own_default=None,
    ),
    Setting(
        "boot_timeout",
        values.DURATION,
        WORKERS,
        "How long a worker may take until it is ready.",
        "The import of the application counts.",
        own_default=_LIMITS.boot_timeout,
    ),
    Setting(
        "request_timeout",
        values.DURATION_OR_OFF,
        WORKERS,
        "How long a request may take before its worker is killed.",
        "The log gets the stack of every thread first.",
        own_default=_LIMITS.request_timeout,
    ),
    Setting(
        "slow_log",
        values.DURATION_OR_OFF,
        WORKERS,
        "Write down where a request is that takes longer.",
        "The stack of every thread of its worker; the request goes on.",
        own_default=_LIMITS.slow_log,
    ),
    Setting(
        "worker_idle",
        values.DURATION,
        WORKERS,
        "When a worker beyond the least number has idled enough.",
        own_default=_LIMITS.worker_idle,
    ),
    Setting(
        "max_requests",
        values.COUNT_OR_OFF,
        WORKERS,
        "Replace a worker after so many requests.",
        "The successor boots first, so nothing waits for it.",
        own_default=_LIMITS.max_requests,
    ),
    Setting(
        "max_requests_jitter",
        values.COUNT_OR_OFF,
        WORKERS,
        "Up to so many requests more, drawn for each worker.",
        "So that they do not all leave at once.",
        own_default=_LIMITS.max_requests_jitter,
    ),
    Setting(
        "max_lifetime",
        values.DURATION_OR_OFF,
        WORKERS,
        "Replace a worker after so long.",
        own_default=_LIMITS.max_lifetime,
    ),
    Setting(
        "max_memory",
        values.SIZE_OR_OFF,
        WORKERS,
        "Replace a worker that holds more memory than this.",
        "Resident memory, looked at between requests.",
        own_default=_LIMITS.max_memory,
    ),
    Setting(
        "nofile",
        values.COUNT_OR_OFF,
        WORKERS,
        "Files and connections a worker may have open.",
        "RLIMIT_NOFILE.",
        unset="the hard limit, at most 65536",
        own_default=_LIMITS.nofile,
    ),
    Setting(
        "nice",
        values.NICE,
        WORKERS,
        "Added to the niceness of the workers.",
        "Below 0 only for a start as root.",
        own_default=_LIMITS.nice,
    ),
)
"""What a pool of workers can be told beside that; `penstock.serve` is one process and has none of these."""

SUPERVISOR_SETTINGS: Final[Sequence[Setting]] = (
    Setting(
        "config",
        values.FILE,
        SUPERVISOR,
        "File of settings.",
        "[workers.md](workers.md) shows one.",
        unset="penstock.toml, where there is no APP",
        own_default=None,
    ),
    Setting("pid", values.FILE, SUPERVISOR, "File that gets the supervisor's process number.", own_default=None),
    Setting(
        "control",
        values.FILE,
        SUPERVISOR,
        "Control socket, for penstock status, reload and stop.",
        unset="beside the first unix socket, else in a folder of its own",
        own_default=None,
    ),
    Setting(
        "reload_on",
        values.FILES,
        SUPERVISOR,
        "File whose change is a reload.",
        "A link that is turned to another release counts as changed.",
        own_default=(),
    ),
    Setting(
        "probation",
        values.DURATION_OR_OFF,
        SUPERVISOR,
        "A new generation that dies in this time is taken back.",
        own_default=Plan(()).probation,
    ),
    Setting(
        "slow_log_file",
        values.FILE,
        SUPERVISOR,
        "Where slow requests are written down.",
        unset="the log",
        own_default=None,
    ),
    Setting(
        "status_bind",
        values.ADDRESS,
        SUPERVISOR,
        "FastCGI address that shows the status page.",
        "The supervisor answers there, also when all workers are busy.",
        own_default=None,
    ),
)
"""What there is once for all pools."""

MANAGER_SETTINGS: Final = (*WORKER_SETTINGS, *SUPERVISOR_SETTINGS)
"""One of these makes `penstock serve` a supervisor with workers."""
