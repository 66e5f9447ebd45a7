"""This file says what becomes of flup's AJP servers: nothing, for AJP is neither FastCGI nor SCGI."""

from __future__ import annotations

from penstock.compat.flup.unsupported import refuse

__all__ = ["BaseAJPServer"]


class BaseAJPServer:
    """Cannot be made: AJP is the protocol between Apache and Tomcat, and penstock does not speak it.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, *_: object, **__: object) -> None:
        refuse(
            "AJP, which is not FastCGI,",
            "use flup.server.fcgi, and mod_proxy_fcgi in place of mod_proxy_ajp or mod_jk in Apache",
        )
