"""The picture of a run: one horizontal bar per peer, CPU per hello request, drawn as SVG by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from bench.report import Figure, Results

WIDTH, LEFT, RIGHT, TOP, STEP, THICK = 860, 330, 90, 84, 36, 18

# The colours follow the reader's light or dark setting; the ground is drawn too, since a page's own may be either.
STYLE = """
  text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 18px; font-weight: 600; } .note, .about { fill: #59636e; } .about, .note { font-size: 12px; }
  .ground { fill: #ffffff; } .bar { fill: #8c959f; } .ours { fill: #0969da; } .mine { font-weight: 600; }
  .spread { stroke: #1f2328; stroke-width: 1.5; } .axis { stroke: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .note, .about { fill: #9198a1; } .ground { fill: #0d1117; } .bar { fill: #656c76; }
    .ours { fill: #4493f8; } .spread { stroke: #f0f6fc; } .axis { stroke: #3d444d; }
  }
"""


def _bar(top: float, label: str, about: str, figure: Figure, scale: float, ours: bool) -> str:
    middle = top + THICK / 2
    end = LEFT + figure.median * scale
    low, high = LEFT + figure.low * scale, LEFT + figure.high * scale
    own, name = ("bar ours", "mine") if ours else ("bar", "name")
    return (
        f'<text class="{name}" x="{LEFT - 10}" y="{middle - 2:.1f}" text-anchor="end">{escape(label)}</text>'
        f'<text class="about" x="{LEFT - 10}" y="{middle + 12:.1f}" text-anchor="end">{escape(about)}</text>'
        f'<rect class="{own}" x="{LEFT}" y="{top:.1f}" width="{end - LEFT:.1f}" height="{THICK}" rx="2"/>'
        f'<path class="spread" d="M{low:.1f} {middle:.1f}H{high:.1f}"/>'
        f'<text class="{name}" x="{max(end, high) + 8:.1f}" y="{middle + 5:.1f}">{figure.median:.1f}</text>'
    )


def svg(results: Results) -> str:
    """The SVG document for the hello load of ``results``; bars for those that came through it, cheapest first."""
    figures = results.figures("hello")
    peers = {peer.name: peer for peer in results.peers}
    largest = max((found["cpu_us"].high for found in figures.values()), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / largest
    height = TOP + STEP * len(figures) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img" '
        'aria-label="CPU microseconds per request by application server">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height:.0f}"/>',
        '<text class="title" x="20" y="32">CPU µs per request in the application server, 140-byte answer</text>',
        '<text class="note" x="20" y="54">shorter is better; bar = median, line = smallest to largest round; '
        f"{escape(results.facts['Python'])}, nginx {escape(results.facts['nginx'])}</text>",
        f'<path class="axis" d="M{LEFT} {TOP - 8}V{height - 12:.0f}"/>',
    ]
    for place, (name, found) in enumerate(figures.items()):
        peer = peers[name]
        version = results.versions.get(peer.distribution or "", "")
        about = f"{peer.protocol}; {peer.about}"
        ours = peer.distribution == "penstock"
        parts.append(_bar(TOP + place * STEP, f"{name} {version}".strip(), about, found["cpu_us"], scale, ours))
    return "\n".join([*parts, "</svg>"]) + "\n"
