"""This file rotates the access log of a supervisor under load, as logrotate does; no line is lost or torn (T28)."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.faults.measure import scaled
from tests.manager.load import Crowd
from tests.manager.supervised import serving, until

LINE = re.compile(r'\S+ \S+ "(GET /|POST /digest)" 200 \d+B \S+')


def lines_of(folder: Path) -> list[str]:
    files = sorted(folder.glob("access.log*"))
    text = "".join(file.read_text() for file in files)
    assert text.endswith("\n")
    return text.split("\n")[:-1]


def test_no_line_of_the_access_log_is_lost_or_torn_while_it_is_rotated(processes, sock_dir, figure):
    rotations, clients = scaled((3, 2), (30, 16))
    log = sock_dir / "access.log"
    with serving(processes, sock_dir, "--workers", "3", "--access-log-file", log, access_log=True) as site:
        with Crowd(site.address, clients) as crowd:
            for number in range(rotations):
                crowd.wait_for(scaled(50, 1000))
                log.rename(sock_dir / f"access.log.{number}")
                site.process.send_signal(signal.SIGUSR1)
                # The supervisor makes the file; a worker goes on in it a moment later.
                assert until(lambda: log.exists() and log.stat().st_size)
            crowd.wait_for(50)
        assert crowd.failures == []
        assert until(lambda: len(lines_of(sock_dir)) >= crowd.answered)
        lines = lines_of(sock_dir)
        assert len(lines) == crowd.answered
        assert [line for line in lines if not LINE.fullmatch(line)] == []
        assert all(path.stat().st_size for path in sock_dir.glob("access.log*")), "a file got no line"
    figure(f"T28: the access log is renamed {rotations} times under load", f"{len(lines)} lines, 0 lost, 0 torn")
