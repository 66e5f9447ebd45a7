"""This file draws the pages of `penstock dev`: an exception with its frames, a failed import, a process that died."""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from html import escape
from typing import Final

from penstock.server.importer import AppError
from penstock.server.importhints import trace_without

_CONTEXT: Final = 4
"""Lines of source shown before and after the one that failed."""

_LONGEST: Final = 4000
"""Characters of an exception's message; some carry the whole of what they failed on."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16232d; --paper: #f4f7f8; --card: #fff; --line: #d5dfe4; --red: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dbe7ec; --paper: #0f171c; --card: #17232a; --line: #2a3b45; --red: #ff8a80 }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 5vh auto; padding: 0 1.25rem }
h1 { font-size: 1.6rem; margin: 0; color: var(--red); overflow-wrap: anywhere; white-space: pre-wrap }
h2 { font-size: 1rem; margin: 2rem 0 .5rem }
pre, .frame { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow-x: auto }
pre, code { font: .85rem/1.5 ui-monospace, monospace }
pre { padding: .7rem 1rem; margin: 0 }
.frame { margin: .6rem 0 }
.frame p { margin: 0; padding: .4rem 1rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
.frame pre { border: 0 }
.frame b { color: var(--red) }
.hint { font-weight: 600 }
summary { cursor: pointer; margin: 2rem 0 .6rem }
footer { margin: 2rem 0; opacity: .7; font-size: .85rem }
"""


def error_page(error: BaseException, request: str, ours: str) -> bytes:
    """The page of an exception that an application raised.

    Args:
        error: the exception.
        request: method and URL of the request.
        ours: the folder whose frames are left out, because they are penstock's own.
    """
    parts = [_heading(error), f"<p><code>{escape(request)}</code></p>", *_chain(error, ours)]
    return _page(f"{type(error).__name__}: {error}", parts + _whole(trace_without(error, ours)))


def load_page(error: AppError, ours: str) -> bytes:
    """The page of an application that could not be loaded."""
    parts = [f"<h1>{escape(error.message)}</h1>"]
    if error.hint:
        parts.append(f'<p class="hint">{escape(error.hint)}</p>')
    if error.traceback:
        if error.__cause__ is not None:
            parts += _chain(error.__cause__, ours)
        parts += _whole(error.traceback)
    return _page(error.message, parts)


def message_page(title: str, text: str) -> bytes:
    """A page of two sentences."""
    return _page(title, [f"<h1>{escape(title)}</h1>", f"<p>{escape(text)}</p>"])


def _page(title: str, parts: list[str]) -> bytes:
    page = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title[:200])}</title>\n<style>{_STYLE}</style>\n<main>\n"
        + "\n".join(parts)
        + "\n<footer>penstock dev shows this to browsers on its own machine alone."
        " Save the file and load the page again.</footer>\n</main>\n</html>\n"
    )
    return page.encode("utf-8", "replace")


def _heading(error: BaseException) -> str:
    text = str(error)
    cut = text[:_LONGEST] + ("..." if len(text) > _LONGEST else "")
    return f"<h1>{escape(f'{type(error).__name__}: {cut}' if text else type(error).__name__)}</h1>"


def _chain(error: BaseException, ours: str) -> Iterator[str]:
    """The frames of an exception, then those of what it was raised from or meanwhile."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if seen:
            yield f"<h2>before that: {escape(type(current).__name__)}: {escape(str(current)[:_LONGEST])}</h2>"
        seen.add(id(current))
        yield from _frames(current, ours)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _frames(error: BaseException, ours: str) -> Iterator[str]:
    """The user's own frames with their source, the innermost first; all frames where none is the user's."""
    places = [
        (frame.f_code.co_filename, line, frame.f_code.co_name) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        places.append((error.filename, error.lineno, "<module>"))
    places = [place for place in places if not place[0].startswith((ours, "<frozen "))]
    own = [place for place in places if not place[0].startswith(_library_folders())]
    for filename, line, function in reversed(own or places):
        place = f"<code>{escape(_short(filename))}:{line}</code> in <code>{escape(function)}</code>"
        yield f'<div class="frame"><p>{place}</p><pre>{_source(filename, line)}</pre></div>'


def _source(filename: str, line: int) -> str:
    linecache.checkcache(filename)
    lines = []
    for number in range(max(1, line - _CONTEXT), line + _CONTEXT + 1):
        text = linecache.getline(filename, number)
        if text:
            shown = f"{number:5}  {escape(text.rstrip())}"
            lines.append(f"<b>{shown}</b>" if number == line else shown)
    return "\n".join(lines)


def _library_folders() -> tuple[str, ...]:
    """Where Python's own modules and installed ones lie."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return tuple(os.path.join(folder, "") for folder in folders)


def _short(filename: str) -> str:
    here = os.path.join(os.getcwd(), "")
    return filename.removeprefix(here)


def _whole(text: str) -> list[str]:
    return [f"<details><summary>The whole traceback</summary><pre>{escape(text)}</pre></details>"]
