"""This file holds what each slot of a pool needs beside shared memory: a pipe for stray output, a file for stacks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, final

from penstock.manager.output import OutputReader, capture, make_pipe
from penstock.manager.privileges import Identity
from penstock.manager.reactor import Reactor
from penstock.server.journal import is_journal
from penstock.server.lines import LineHandler, LineWriter
from penstock.server.notices import log

_MOST_STACKS: Final = 256 * 1024


@final
class SlotFiles:
    """Pipes and files of one pool, a place more than it has slots: the last one is the template's.

    Args:
        slots: how many.
        identity: who the workers become.
        name: who is at a place, for the lines that come from there.
        pipes, stacks: both ends of pipes, and files, that are there already for the first places.
    """

    def __init__(
        self,
        slots: int,
        identity: Identity | None,
        reactor: Reactor,
        name: Callable[[int], str],
        pipes: Sequence[tuple[int, int]] = (),
        stacks: Sequence[int] = (),
    ) -> None:
        self._writer = LineWriter(2)
        self._readers: list[OutputReader] = []
        self.outputs: Final[list[int]] = []
        self.stacks: Final[list[int]] = []
        terminal = os.isatty(2)
        journal = is_journal()
        for place in range(slots + 1):
            ours, theirs = pipes[place] if place < len(pipes) else make_pipe(identity)
            reader = OutputReader(ours, _namer(name, place), self._writer.write, terminal=terminal, journal=journal)
            self._readers.append(reader)
            self.outputs.append(theirs)
            reactor.watch(ours, _reading(reader, reactor))
        # In memory and without a name: nobody else can read it, and no disk can be full.
        self.stacks.extend(stacks)
        self.stacks.extend(os.memfd_create(f"stacks-{slot}", os.MFD_CLOEXEC) for slot in range(len(stacks), slots))
        for fd in self.stacks:
            os.set_blocking(fd, True)

    @property
    def pipes(self) -> list[tuple[int, int]]:
        """Both ends of each pipe: ours, and that of whoever is at the place."""
        return [(reader.fd, theirs) for reader, theirs in zip(self._readers, self.outputs, strict=True)]

    @property
    def lost(self) -> int:
        """Lines of stray output that were too many."""
        return sum(reader.lost for reader in self._readers)

    def take_stacks(self, slot: int) -> str:
        """What has been written into a slot's file; it is empty afterwards."""
        fd = self.stacks[slot]
        text = os.pread(fd, _MOST_STACKS, 0).lstrip(b"\0").decode("utf-8", "replace")
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)  # the worker writes where it stopped; the place is shared with it
        return text

    def let_go(self) -> None:
        """In a forked child: close the supervisor's ends."""
        for reader in self._readers:
            os.close(reader.fd)

    def close(self) -> None:
        """Show what is left, and give the descriptors back."""
        for reader in self._readers:
            reader.close()
        self.close_theirs()

    def close_theirs(self) -> None:
        """Close the ends of templates and workers."""
        for fd in (*self.outputs, *self.stacks):
            with suppress(OSError):
                os.close(fd)


def go_through(outputs: Sequence[int], place: int) -> None:
    """In a template or worker: let stray output go through a place's pipe, and penstock's own lines where they went."""
    if not outputs:
        return
    if place == len(outputs) - 1:
        straight = os.dup(2)
        for handler in list(log.handlers):
            if isinstance(handler, LineHandler):
                log.removeHandler(handler)
                log.addHandler(_same(handler, straight))
    capture(outputs[place])


def _same(handler: logging.Handler, fd: int) -> logging.Handler:
    other = LineHandler(fd)
    other.setFormatter(handler.formatter)
    other.setLevel(handler.level)
    return other


def _namer(name: Callable[[int], str], place: int) -> Callable[[], str]:
    return lambda: name(place)


def _reading(reader: OutputReader, reactor: Reactor) -> Callable[[], None]:
    def read() -> None:
        rested = reader.pause
        if not reader.on_readable():
            reactor.forget(reader.fd)
        elif reader.pause:
            reactor.forget(reader.fd)
            alarm.set(reader.pause)
        elif rested:
            reactor.watch(reader.fd, read)

    alarm = reactor.alarm(read)
    return read
