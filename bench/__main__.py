"""The command line of the benchmark: chooses peers and loads, runs the rounds, prints and writes the report."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import TYPE_CHECKING

from bench import checks, nginx, peers, picture, report
from bench.load import LOADS
from bench.run import RESULTS, chosen, command, named, one_round, say, sort_out, to_its_end
from bench.stage import stage

if TYPE_CHECKING:
    from bench.peers import Peer
    from bench.stage import Stage

FULL_ROUNDS = 5


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="penstock and its peers behind one nginx")
    parser.add_argument(
        "--rounds", type=int, default=FULL_ROUNDS, help="how often each peer runs (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=int, default=3, help="of load for hello; the others get one less, at least 1")
    parser.add_argument("--peers", default="*", help="names or patterns, with commas: penstock,uwsgi*")
    parser.add_argument("--loads", default=",".join(LOADS), help="of %(default)s")
    parser.add_argument("--no-checks", action="store_true", help="leave out memory, import cost and the 1 GiB upload")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the peers in each round")
    parser.add_argument(
        "--output", type=Path, help="folder for the results (default: bench/results after a full run, else none)"
    )
    parser.add_argument("--list", action="store_true", help="name the peers and say which are ready")
    arguments = parser.parse_args(argv)
    arguments.loads = named(parser, "load", arguments.loads, LOADS)
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    arguments.chosen = chosen(parser, "peer", arguments.peers, peers.PEERS)
    # Only a whole run may replace the figures the README quotes.
    whole = arguments.rounds >= FULL_ROUNDS and arguments.chosen == list(peers.PEERS) and arguments.loads == list(LOADS)
    if arguments.output is None and whole and not arguments.no_checks:
        arguments.output = RESULTS
    return arguments


def _rounds(scene: Stage, ready: list[Peer], results: report.Results, arguments: argparse.Namespace) -> None:
    def take(load: str, peer: Peer) -> str | None:
        if load not in peer.loads or f"{peer.name}, {load}" in results.failed:
            return None
        seconds = arguments.seconds if load == "hello" else max(1, arguments.seconds - 1)
        sample = scene.sample(peer, load, seconds)
        results.samples.setdefault(load, {}).setdefault(peer.name, []).append(sample)
        return f"{sample.cpu_us:8.1f} µs CPU {sample.requests_per_second:9.0f} requests/s"

    order = random.Random(arguments.seed)
    for turn in range(1, arguments.rounds + 1):
        one_round(f"round {turn}/{arguments.rounds}", arguments.loads, ready, order, take, results.failed)


def _checks(scene: Stage, ready: list[Peer], results: report.Results, arguments: argparse.Namespace) -> None:
    results.checks += checks.speed(results.medians("hello", "cpu_us"))
    if arguments.no_checks:
        return
    ours = next((peer for peer in ready if peer.name == "penstock"), None)
    if ours is None:
        say("penstock is not among the peers: no figures for memory, import and the large upload")
        return
    say("checks: memory, import cost, 1 GiB upload")
    results.checks += [
        checks.serving_memory(scene, ours),
        checks.import_cost(scene),
        checks.upload_growth(scene, ours),
    ]


def _listing(listed: list[Peer]) -> int:
    found = peers.versions(listed)
    for peer in listed:
        state = peers.missing(peer) or "ready " + found.get(peer.distribution or "", "")
        print(f"{peer.name:17} {peer.protocol:8} {','.join(peer.loads):18} {state}: {peer.about}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 done, 1 nothing to measure with, 2 wrong usage, 130 stopped."""
    arguments = _arguments(argv)
    if arguments.list:
        return _listing(arguments.chosen)
    ready, left_out = sort_out(arguments.chosen, peers.missing)

    def measure() -> None:
        run = f"{arguments.rounds} rounds, {arguments.seconds} s of hello per peer and round"
        results = report.Results(
            facts=report.machine(nginx.version()) | {"Run": run},
            versions=peers.versions(arguments.chosen),
            command=command("bench", argv),
            left_out=left_out,
            peers=arguments.chosen,
        )
        with stage(ready) as scene:
            _rounds(scene, ready, results, arguments)
            _checks(scene, ready, results, arguments)
        print(report.markdown(results))
        if arguments.output:
            report.write(results, arguments.output, picture.svg(results))
            say(f"written: latest.json, latest.md and latest.svg in {arguments.output.name}/")

    return to_its_end(measure, "nothing was written")


if __name__ == "__main__":
    raise SystemExit(main())
