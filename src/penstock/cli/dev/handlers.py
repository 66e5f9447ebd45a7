"""This file does for handler classes under `penstock dev` what pages.py does for WSGI: exceptions become pages."""

from __future__ import annotations

from penstock.cli.dev.pages import HEADERS, is_local, traceback_page
from penstock.gateways.handler import Handler, Request


def debugged_handler(kind: type[Handler]) -> type[Handler]:
    """A handler whose exceptions become pages, as long as nothing of its response has been sent.

    A page of its own, which its users will see, gives way to that; the log has the traceback already.
    """

    class Debugged(kind):  # type: ignore[valid-type, misc]
        """The handler, with another page for its exceptions."""

        def failed(self, request: Request, error: BaseException) -> None:
            if request.status != 500 or not is_local(request.params):
                super().failed(request, error)
                return
            for name, value in HEADERS:
                request.set_header(name, value)
            request.write(traceback_page(error, f"{request.method} {request.params.get('REQUEST_URI')}"))

    Debugged.__qualname__ = kind.__qualname__
    return Debugged
