"""The part of setup.sh that runs inside the new environment: peers one by one, penstock, the C responder.

It imports nothing of ours, so that a broken tree can still be set up, and never stops at a peer that fails: the reason
goes to bench-setup.json, where the report finds it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent
PREFIX = Path(sys.prefix)
PIP = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
# A wheel that pip has built and kept may hold another interpreter of the same version: uWSGI links one.
PIP += ["--no-cache-dir"]
REASON_LENGTH = 200


def reason(output: str) -> str:
    """The line of a failed build's output that says most, without folders of this machine."""
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    telling = [line for line in lines if re.search(r"fatal error|cannot find|\berror\b", line, re.IGNORECASE)]
    # The closing lines of pip and of the linker name what failed, never why; the cause stands beside them.
    telling = [line for line in telling if not re.search(r"exited-with-error|not a problem with pip|exit status", line)]
    line = (telling or lines or ["no message"])[0]
    return re.sub(r"(?<![\w.])/(?:[\w.+@-]+/)+", "", line)[:REASON_LENGTH]


def attempt(command: list[str]) -> str | None:
    """Run ``command``; None when it succeeds, else the reason."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else reason(done.stdout)


def requirements() -> list[str]:
    """The peers of requirements.txt, in its order."""
    lines = (BENCH / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def main() -> int:
    """Install all that installs; 1 only when penstock itself does not."""
    (PREFIX / ".gitignore").write_text("*\n", encoding="ascii")
    failed: dict[str, str] = {}
    tasks = {name: [*PIP, "--upgrade", name] for name in requirements()}
    tasks["penstock"] = [*PIP, "--editable", str(BENCH.parent)]
    responder = str(PREFIX / "bin" / "bench-responder")
    compiler = ["gcc", "-O2", "-Wall", "-Wextra", "-o", responder, str(BENCH / "responder.c"), "-lfcgi", "-lpthread"]
    tasks["libfcgi"] = compiler
    for name, command in tasks.items():
        why = attempt(command)
        print(f"bench/setup: {name}: {'ready' if why is None else 'LEFT OUT: ' + why}", flush=True)
        if why is not None:
            failed[name] = why
    (PREFIX / "bench-setup.json").write_text(json.dumps(failed, indent=2) + "\n", encoding="utf-8")
    return 1 if "penstock" in failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
