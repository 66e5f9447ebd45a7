"""This file is the command line of the trials: chooses trials and contenders, runs the rounds, prints and writes."""

from __future__ import annotations

import argparse
import datetime
import fnmatch
import random
import signal
import sys
from pathlib import Path

from bench import nginx
from bench.report import machine
from bench.stage import PeerFailed
from bench.trials import contenders, report
from bench.trials.arena import Arena, arena
from bench.trials.six import TRIALS, run

RESULTS = Path(__file__).resolve().parent.parent / "results"
FULL_ROUNDS = 3


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description="reloads, kills and stops, under load")
    parser.add_argument("--rounds", type=int, default=FULL_ROUNDS, help="of all trials (default: %(default)s)")
    parser.add_argument("--contenders", default="*", help="names or patterns, with commas: penstock,uwsgi*")
    parser.add_argument("--trials", default=",".join(TRIALS), help="of %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the contenders in each trial")
    parser.add_argument("--output", type=Path, help="folder for the results (default: bench/results after a full run)")
    arguments = parser.parse_args(argv)
    arguments.trials = arguments.trials.split(",")
    for trial in arguments.trials:
        if trial not in TRIALS:
            parser.error(f"no trial is called {trial}; there are: {', '.join(TRIALS)}")
    patterns, names = arguments.contenders.split(","), [one.name for one in contenders.CONTENDERS]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            parser.error(f"no contender is called {pattern}; there are: {', '.join(names)}")
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    arguments.chosen = [
        one for one in contenders.CONTENDERS if any(fnmatch.fnmatchcase(one.name, pattern) for pattern in patterns)
    ]
    # Only a whole run may replace the figures the README quotes.
    whole = len(arguments.chosen) == len(names) and arguments.trials == list(TRIALS)
    if arguments.output is None and whole and arguments.rounds >= FULL_ROUNDS:
        arguments.output = RESULTS
    return arguments


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _rounds(
    scene: Arena, ready: list[contenders.Contender], results: report.Results, arguments: argparse.Namespace
) -> None:
    order = random.Random(arguments.seed)
    for turn in range(1, arguments.rounds + 1):
        for trial in arguments.trials:
            taking_part = list(ready)
            order.shuffle(taking_part)
            for one in taking_part:
                head = f"round {turn}/{arguments.rounds} {trial:7} {one.name:17}"
                try:
                    outcome = run(scene, one, trial)
                except PeerFailed as error:
                    results.failed[f"{one.name}, {trial}"] = str(error)
                    _say(f"{head} FAILED: {error}")
                    continue
                results.outcomes.setdefault(trial, {}).setdefault(one.name, []).append(outcome)
                _say(f"{head} {outcome.values()}")
        results.facts["Run"] = f"{turn} rounds, contenders in a shuffled order in each trial"
        if arguments.output:
            report.write(results, arguments.output)


def _stop(signum: int, frame: object) -> None:  # noqa: ARG001 - the interface of a signal handler
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run the trials; 0 done, 1 nothing to run them with, 2 wrong usage, 130 stopped."""
    arguments = _arguments(argv)
    signal.signal(signal.SIGTERM, _stop)
    left_out = {one.name: why for one in arguments.chosen if (why := contenders.missing(one))}
    ready = [one for one in arguments.chosen if one.name not in left_out]
    for name, why in left_out.items():
        _say(f"left out: {name}: {why}")
    command = " ".join(["python", "-m", "bench.trials", *(sys.argv[1:] if argv is None else argv)])
    try:
        facts = machine(nginx.version())
        facts["Date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
        found = contenders.versions(arguments.chosen)
        results = report.Results(facts, arguments.chosen, found, command, left_out=left_out)
        with arena(ready) as scene:
            _rounds(scene, ready, results, arguments)
    except nginx.NginxError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped; what was written is that of whole rounds")
        return 130
    print(report.markdown(results))
    if arguments.output:
        _say(f"written: trials.json and trials.md in {arguments.output.name}/")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
