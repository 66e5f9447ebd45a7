"""This file becomes another program, with the descriptors and the environment that a process manager would give it.

    handover.py '{"fds": {"0": 7}, "closed": [1, 2], "env": {"PATH": "/bin"}, "listen": "2"}' PROGRAM ARGUMENT...

With "listen", LISTEN_FDS says so many, and LISTEN_PID names this process, which it keeps being.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys

plan = json.loads(sys.argv[1])
# Out of the way first: a source may have the number of another's target.
moved = {int(target): fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 100) for target, source in plan["fds"].items()}
for source in set(plan["fds"].values()):
    if source > 2:
        os.close(source)
for target, number in moved.items():
    os.dup2(number, target)
for number in plan["closed"]:
    os.close(number)
env = plan["env"]
if "listen" in plan:
    env |= {"LISTEN_FDS": plan["listen"], "LISTEN_PID": str(os.getpid())}
os.execve(sys.argv[2], sys.argv[2:], env)
