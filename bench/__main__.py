"""The command line of the benchmark: chooses peers and loads, runs the rounds, prints and writes the report."""

from __future__ import annotations

import argparse
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench import checks, nginx, peers, picture, report
from bench.load import LOADS
from bench.stage import PeerFailed, stage

if TYPE_CHECKING:
    from bench.peers import Peer
    from bench.stage import Stage

RESULTS = Path(__file__).resolve().parent / "results"
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
    arguments.loads = arguments.loads.split(",")
    for load in arguments.loads:
        if load not in LOADS:
            parser.error(f"no load is called {load}; there are: {', '.join(LOADS)}")
    if arguments.rounds < 1 or arguments.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    try:
        arguments.chosen = peers.choose(arguments.peers.split(","))
    except ValueError as error:
        parser.error(str(error))
    # Only a whole run may replace the figures the README quotes.
    whole = arguments.rounds >= FULL_ROUNDS and arguments.chosen == list(peers.PEERS) and arguments.loads == list(LOADS)
    if arguments.output is None and whole and not arguments.no_checks:
        arguments.output = RESULTS
    return arguments


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _rounds(scene: Stage, ready: list[Peer], results: report.Results, arguments: argparse.Namespace) -> None:
    order = random.Random(arguments.seed)
    for turn in range(1, arguments.rounds + 1):
        for load in arguments.loads:
            seconds = arguments.seconds if load == "hello" else max(1, arguments.seconds - 1)
            taking_part = [peer for peer in ready if load in peer.loads]
            order.shuffle(taking_part)
            for peer in taking_part:
                if f"{peer.name}, {load}" in results.failed:
                    continue
                head = f"round {turn}/{arguments.rounds} {load:7} {peer.name:17}"
                try:
                    sample = scene.sample(peer, load, seconds)
                except PeerFailed as error:
                    results.failed[f"{peer.name}, {load}"] = str(error)
                    _say(f"{head} FAILED: {error}")
                    continue
                results.samples.setdefault(load, {}).setdefault(peer.name, []).append(sample)
                _say(f"{head} {sample.cpu_us:8.1f} µs CPU {sample.requests_per_second:9.0f} requests/s")


def _checks(scene: Stage, ready: list[Peer], results: report.Results, arguments: argparse.Namespace) -> None:
    results.checks += checks.speed(results.medians("hello", "cpu_us"))
    if arguments.no_checks:
        return
    ours = next((peer for peer in ready if peer.name == "penstock"), None)
    if ours is None:
        _say("penstock is not among the peers: no figures for memory, import and the large upload")
        return
    _say("checks: memory, import cost, 1 GiB upload")
    results.checks += [
        checks.serving_memory(scene, ours),
        checks.import_cost(scene),
        checks.upload_growth(scene, ours),
    ]


def _listing(chosen: list[Peer]) -> int:
    found = peers.versions(chosen)
    for peer in chosen:
        state = peers.missing(peer) or "ready " + found.get(peer.distribution or "", "")
        print(f"{peer.name:17} {peer.protocol:8} {','.join(peer.loads):18} {state}: {peer.about}")
    return 0


def _stop(signum: int, frame: object) -> None:  # noqa: ARG001 - the interface of a signal handler
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; 0 done, 1 nothing to measure with, 2 wrong usage, 130 stopped."""
    arguments = _arguments(argv)
    if arguments.list:
        return _listing(arguments.chosen)
    signal.signal(signal.SIGTERM, _stop)
    left_out = {peer.name: why for peer in arguments.chosen if (why := peers.missing(peer))}
    ready = [peer for peer in arguments.chosen if peer.name not in left_out]
    for name, why in left_out.items():
        _say(f"left out: {name}: {why}")
    command = " ".join(["python", "-m", "bench", *(sys.argv[1:] if argv is None else argv)])
    try:
        facts = report.machine(nginx.version())
        shape = f"{arguments.rounds} rounds, {arguments.seconds} s of hello per peer and round"
        facts["Run"] = shape
        results = report.Results(facts, arguments.chosen, peers.versions(arguments.chosen), command, left_out=left_out)
        with stage(ready) as scene:
            _rounds(scene, ready, results, arguments)
            _checks(scene, ready, results, arguments)
    except nginx.NginxError as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped; nothing was written")
        return 130
    print(report.markdown(results))
    if arguments.output:
        report.write(results, arguments.output, picture.svg(results))
        _say(f"written: latest.json, latest.md and latest.svg in {arguments.output.name}/")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
