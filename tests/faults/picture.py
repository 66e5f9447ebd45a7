"""This file draws how many workers a pool had over time, and how many clients there were: SVG, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.picture import STYLE

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 320, 60, 130, 80, 44


class Sample(NamedTuple):
    """One look: seconds since the beginning, clients that asked, workers that served."""

    at: float
    clients: int
    workers: int


def draw(title: str, samples: Sequence[Sample]) -> str:
    """The SVG document; both lines share one scale."""
    seconds = samples[-1].at
    most = max(max(sample.clients, sample.workers) for sample in samples)
    across = (WIDTH - LEFT - RIGHT) / seconds
    up = (HEIGHT - TOP - BOTTOM) / most
    ground = HEIGHT - BOTTOM

    def line(of: Callable[[Sample], int]) -> str:
        """Steps: a number holds until the next look."""
        points = [f"M{LEFT} {ground - of(samples[0]) * up:.1f}"]
        now = of(samples[0])
        for sample in samples:
            if of(sample) != now:
                now = of(sample)
                points.append(f"H{LEFT + sample.at * across:.1f}V{ground - now * up:.1f}")
        return "".join(points) + f"H{LEFT + seconds * across:.1f}"

    step = 5 if seconds <= 60 else 10
    marks = [
        f'<text class="about" x="{LEFT + at * across:.1f}" y="{ground + 18}" text-anchor="middle">{at} s</text>'
        for at in range(0, int(seconds) + 1, step)
    ]
    levels = [
        f'<path class="axis" d="M{LEFT} {ground - level * up:.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="about" x="{LEFT - 8}" y="{ground - level * up + 4:.1f}" text-anchor="end">{level}</text>'
        for level in range(0, most + 1, 4)
    ]
    end = LEFT + seconds * across + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        'aria-label="workers of a pool over time, against clients">',
        f"<style>{STYLE}  .line {{ fill: none; stroke-width: 2; }} .clients {{ stroke: #8c959f; }}"
        " .workers { stroke: #0969da; stroke-width: 3; }</style>",
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="title" x="20" y="32">{title}</text>',
        '<text class="note" x="20" y="54">grey: clients that ask without a pause; blue: workers</text>',
        *levels,
        *marks,
        f'<path class="line clients" d="{line(lambda sample: sample.clients)}"/>',
        f'<path class="line workers" d="{line(lambda sample: sample.workers)}"/>',
        f'<text class="about" x="{end:.1f}" y="{ground - samples[-1].clients * up + 4:.1f}">clients</text>',
        f'<text class="mine" x="{end:.1f}" y="{ground - samples[-1].workers * up - 2:.1f}">workers</text>',
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"
