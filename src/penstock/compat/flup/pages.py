"""This file makes the pages that flup shows for a failed request: with debug=True the traceback, no more than that."""

from __future__ import annotations

import html
import traceback

from penstock.gateways.response import error_page
from penstock.server.notices import new_reference


def traceback_page(error: BaseException) -> bytes:
    """A whole CGI response with the traceback as text; values of variables are left out, they may be secrets."""
    text = html.escape("".join(traceback.format_exception(error)))
    title = html.escape(traceback.format_exception_only(error)[-1].strip())
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title></head>\n<body><h1>{title}</h1>\n<pre>{text}</pre>\n</body></html>\n"
    ).encode("utf-8", "backslashreplace")
    return b"Status: 500 Internal Server Error\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page


def plain_page() -> bytes:
    """A whole CGI response that tells nothing but that the request has failed."""
    return error_page(500, new_reference())
