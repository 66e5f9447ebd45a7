"""This file is a server for programs that do something else meanwhile, such as tests: it runs in its own thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, final

from penstock.server.listen import open_listeners
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.wiring import Application, make_server


@final
class Server:
    """Serves an application in a thread, from the beginning of a `with` block to its end.

        with penstock.Server(app) as server, Client(server.address) as client:
            assert client.request("GET", "/").status == 200

    Args:
        app: as for `penstock.serve`.
        bind: one or more addresses, as for `penstock.serve`; a free port of this machine when not given.
        interface: "wsgi" or "asgi" where "auto" guesses wrong.
        options: threads, mount, roles, max_body, body_memory, stream_body, io_timeout, graceful_timeout and protocol of
            `penstock.serve`.

    Attributes:
        addresses: where it listens, with the real ports.

    Raises:
        AddressError, ValueError, TypeError: an argument is written wrong, or `app` is no application.
        BindError: the address cannot be bound.
    """

    def __init__(
        self,
        app: Application,
        bind: str | Sequence[str] = "127.0.0.1:0",
        *,
        interface: str = "auto",
        **options: Any,
    ) -> None:
        made = ServerOptions.of(**options)
        self._listeners: Final = open_listeners(bind)
        self.addresses: Final = [listener.address for listener in self._listeners]
        self._grace = made.graceful_timeout
        self._failure: BaseException | None = None
        try:
            self._server = make_server(app, interface, self._listeners, made, None)
        except BaseException:
            self._close()
            raise
        self._thread = threading.Thread(target=self._run, name="penstock-1", daemon=True)

    @property
    def address(self) -> str:
        """The first of the addresses."""
        return self.addresses[0]

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let running requests finish, for at most `graceful_timeout`.

        Raises:
            StartupFailed: the application's lifespan said so; nothing was served.
        """
        self._server.stop()
        self._thread.join(self._grace)
        if self._thread.is_alive():
            log.warning("some requests did not end within %g s; their connections are left to break", self._grace)
            self._close()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._server.run()
        except BaseException as failure:
            self._failure = failure

    def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
