"""What the benchmark and the trials share as commands: who takes part and in which order, what is said, how it ends."""

from __future__ import annotations

import fnmatch
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bench.nginx import NginxError
from bench.peers import Peer
from bench.stage import PeerFailed

if TYPE_CHECKING:
    import argparse
    import random
    from collections.abc import Callable, Collection, Iterable, Sequence

RESULTS = Path(__file__).resolve().parent / "results"

P = TypeVar("P", bound=Peer)


def say(text: str) -> None:
    """Write a line for whoever watches."""
    print(text, file=sys.stderr, flush=True)


def named(parser: argparse.ArgumentParser, what: str, text: str, known: Collection[str]) -> list[str]:
    """Names with commas between them; one that is not ``known`` ends the program."""
    names = text.split(",")
    for name in names:
        if name not in known:
            parser.error(f"no {what} is called {name}; there are: {', '.join(known)}")
    return names


def chosen(parser: argparse.ArgumentParser, what: str, text: str, table: Sequence[P]) -> list[P]:
    """Those of ``table`` whose names match (``uwsgi,penstock*``), in its order; one for nobody ends the program."""
    patterns, names = text.split(","), [one.name for one in table]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            parser.error(f"no {what} is called {pattern}; there are: {', '.join(names)}")
    return [one for one in table if any(fnmatch.fnmatchcase(one.name, pattern) for pattern in patterns)]


def command(module: str, argv: list[str] | None) -> str:
    """What was typed, or would have been."""
    return " ".join(["python", "-m", module, *(sys.argv[1:] if argv is None else argv)])


def sort_out(peers: Iterable[P], missing: Callable[[P], str | None]) -> tuple[list[P], dict[str, str]]:
    """Those who can be started here, and why the others cannot, which is said."""
    ready, left_out = [], {}
    for peer in peers:
        if why := missing(peer):
            left_out[peer.name] = why
            say(f"left out: {peer.name}: {why}")
        else:
            ready.append(peer)
    return ready, left_out


def one_round(
    title: str,
    kinds: Sequence[str],
    peers: Sequence[P],
    order: random.Random,
    take: Callable[[str, P], str | None],
    failed: dict[str, str],
) -> None:
    """Let everybody have a turn at each kind, in a shuffled order.

    Args:
        title: of the round.
        take: one turn; returns what to say of it, None for nothing.
        failed: gets those who fail in their turn, and why.
    """
    for kind in kinds:
        for peer in order.sample(peers, len(peers)):
            try:
                told = take(kind, peer)
            except PeerFailed as error:
                failed[f"{peer.name}, {kind}"] = str(error)
                told = f"FAILED: {error}"
            if told is not None:
                say(f"{title} {kind:7} {peer.name:17} {told}")


def to_its_end(work: Callable[[], None], stopped: str) -> int:
    """Do the work, which SIGTERM and Ctrl-C stop; the exit status: 0 done, 1 no nginx to do it with, 130 stopped."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        work()
    except NginxError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say(f"stopped; {stopped}")
        return 130
    return 0


def _stop(signum: int, frame: object) -> None:  # noqa: ARG001 - the interface of a signal handler
    raise KeyboardInterrupt
