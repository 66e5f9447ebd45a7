"""This file is a plain WSGI application: one page that shows which way the request came.

Serve it: penstock serve examples/hello.py
"""

from __future__ import annotations

import platform
from html import escape

import penstock

# What a web server says about a request; the page shows those that are there.
SHOWN = (
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_PROTOCOL",
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "GATEWAY_INTERFACE",
    "HTTP_HOST",
    "HTTP_ACCEPT_LANGUAGE",
    "wsgi.url_scheme",
    "wsgi.multithread",
    "wsgi.multiprocess",
)

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>penstock: it works</title>
<style>
  :root { color-scheme: light dark; --ink: #16232d; --paper: #f4f7f8; --card: #fff; --line: #d5dfe4; --water: #0b7285 }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #dbe7ec; --paper: #0f171c; --card: #17232a; --line: #2a3b45; --water: #4cc3d9 }
  }
  body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
  main { max-width: 46rem; margin: 8vh auto; padding: 0 1.25rem }
  h1 { font-size: 2rem; margin: 0 }
  h1 + p { margin: .25rem 0 2rem; opacity: .75 }
  ol { display: flex; flex-wrap: wrap; gap: .5rem 0; list-style: none; margin: 0 0 2rem; padding: 0 }
  li { display: flex; align-items: center }
  li b, td, th { background: var(--card); border: 1px solid var(--line) }
  li b { padding: .4rem .8rem; border-radius: .5rem; font-weight: 600 }
  li + li::before { content: attr(data-by) " \\2192"; padding: 0 .6rem; color: var(--water); font-size: .8rem }
  table { width: 100%; border-collapse: collapse; font: .85rem/1.4 ui-monospace, monospace }
  td, th { padding: .4rem .7rem; text-align: left; font-weight: 400; overflow-wrap: anywhere }
  th { width: 12rem; color: var(--water) }
</style>
<main>
<h1>It works.</h1>
<p>This page was made by a Python program, and came to you this way:</p>
<ol>
  <li><b>your browser</b></li>
  <li data-by="HTTP"><b>$web_server</b></li>
  <li data-by="FastCGI"><b>penstock $penstock</b></li>
  <li data-by="WSGI"><b>Python $python</b></li>
</ol>
<p>What the web server said about your request:</p>
<table>$rows</table>
</main>
</html>
"""


def app(environ, start_response):
    """Answer every path with the page; the values in it are the request's own, so each of them is escaped."""
    rows = "".join(
        f"<tr><th>{name}</th><td>{escape(str(environ[name])) or '&nbsp;'}</td></tr>\n"
        for name in SHOWN
        if name in environ
    )
    page = PAGE
    for name, value in (
        ("$web_server", escape(environ.get("SERVER_SOFTWARE") or "a web server")),
        ("$penstock", penstock.__version__),
        ("$python", platform.python_version()),
        ("$rows", rows),
    ):
        page = page.replace(name, value)
    body = page.encode()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
