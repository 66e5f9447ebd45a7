"""This file writes an exception down, for the log and for the page of a DebugHandler; jonpy took cgitb for both."""

from __future__ import annotations

import traceback

from penstock.gateways.response import error_page

_HINT = "This page is for the programmer: a Handler shows it to nobody, a DebugHandler to everybody."


def text_of(error: BaseException | None) -> str:
    """The traceback as text; where there is no exception, that."""
    if error is None:
        return "traceback() was called and no exception is being handled"
    return "".join(traceback.format_exception(error)).rstrip("\n")


def html_page(error: BaseException | None) -> bytes:
    """A page that shows the traceback, in UTF-8; unlike cgitb's it has no values of variables."""
    page = error_page(500, detail=_HINT).partition(b"\r\n\r\n")[2]
    text = text_of(error).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return page.replace(b"</body>", b"<pre>%s</pre>\n</body>" % text.encode("utf-8", "backslashreplace"))
