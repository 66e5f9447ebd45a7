"""This file is the command line of the trials: chooses trials and contenders, runs the rounds, prints and writes."""

from __future__ import annotations

import argparse
import datetime
import random
from pathlib import Path

from bench import nginx
from bench.report import machine
from bench.run import RESULTS, chosen, command, named, one_round, say, sort_out, to_its_end
from bench.trials import contenders, report
from bench.trials.arena import Arena, arena
from bench.trials.contenders import CONTENDERS, Contender
from bench.trials.six import TRIALS, run

FULL_ROUNDS = 3


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description="reloads, kills and stops, under load")
    parser.add_argument("--rounds", type=int, default=FULL_ROUNDS, help="of all trials (default: %(default)s)")
    parser.add_argument("--contenders", default="*", help="names or patterns, with commas: penstock,uwsgi*")
    parser.add_argument("--trials", default=",".join(TRIALS), help="of %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the contenders in each trial")
    parser.add_argument("--output", type=Path, help="folder for the results (default: bench/results after a full run)")
    arguments = parser.parse_args(argv)
    arguments.trials = named(parser, "trial", arguments.trials, TRIALS)
    arguments.chosen = chosen(parser, "contender", arguments.contenders, CONTENDERS)
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    # Only a whole run may replace the figures the README quotes.
    whole = arguments.chosen == list(CONTENDERS) and arguments.trials == list(TRIALS)
    if arguments.output is None and whole and arguments.rounds >= FULL_ROUNDS:
        arguments.output = RESULTS
    return arguments


def _rounds(scene: Arena, ready: list[Contender], results: report.Results, arguments: argparse.Namespace) -> None:
    def take(trial: str, one: Contender) -> str:
        outcome = run(scene, one, trial)
        results.outcomes.setdefault(trial, {}).setdefault(one.name, []).append(outcome)
        return str(outcome.values())

    order = random.Random(arguments.seed)
    for turn in range(1, arguments.rounds + 1):
        one_round(f"round {turn}/{arguments.rounds}", arguments.trials, ready, order, take, results.failed)
        results.facts["Run"] = f"{turn} rounds, contenders in a shuffled order in each trial"
        if arguments.output:
            report.write(results, arguments.output)


def main(argv: list[str] | None = None) -> int:
    """Run the trials; 0 done, 1 nothing to run them with, 2 wrong usage, 130 stopped."""
    arguments = _arguments(argv)
    ready, left_out = sort_out(arguments.chosen, contenders.missing)

    def compete() -> None:
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        results = report.Results(
            facts=machine(nginx.version()) | {"Date": today},
            versions=contenders.versions(arguments.chosen),
            command=command("bench.trials", argv),
            left_out=left_out,
            contenders=arguments.chosen,
        )
        with arena(ready) as scene:
            _rounds(scene, ready, results, arguments)
        print(report.markdown(results))
        if arguments.output:
            say(f"written: trials.json and trials.md in {arguments.output.name}/")

    return to_its_end(compete, "what was written is that of whole rounds")


if __name__ == "__main__":
    raise SystemExit(main())
