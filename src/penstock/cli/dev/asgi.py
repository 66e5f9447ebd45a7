"""This file does for ASGI applications under `penstock dev` what pages.py does for WSGI: exceptions become pages."""

from __future__ import annotations

from typing import Final, final

from penstock.cli.dev.page import message_page
from penstock.cli.dev.pages import HEADERS, draw, is_local
from penstock.gateways.asgi_scope import ASGIApplication, Message, Receive, Scope, Send
from penstock.server.notices import log

_NOT_FOR_YOU: Final = b"<!doctype html><title>500</title><p>The application could not be started. Its log says why."


@final
class DebuggedASGI:
    """An ASGI application whose exceptions become pages, as long as nothing of its response has been sent.

    Frameworks answer 500 themselves and then raise on, so that the server may log it: such an answer is held back until
    the application has returned. An application that cannot start answers every request with why.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._unstarted: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._start(scope, receive, send)
            return
        if scope["type"] == "http" and self._unstarted is not None:
            await _answer(send, self._unstarted if _is_local(scope) else _NOT_FOR_YOU)
            return
        if scope["type"] != "http" or not _is_local(scope):
            await self._application(scope, receive, send)
            return
        held: list[Message] = []
        started = False

        async def send_unless_500(message: Message) -> None:
            nonlocal started
            if held or (message["type"] == "http.response.start" and message["status"] == 500):
                held.append(message)
            else:
                started = True
                await send(message)

        try:
            await self._application(scope, receive, send_unless_500)
        except Exception as error:
            if started:
                raise
            await _answer(send, draw(error, f"{scope['method']} {scope['path']}"))
            return
        for message in held:
            await send(message)

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a start that fails for one that does not, so that there is somebody to tell of it."""

        said = ""

        async def send_unless_failed(message: Message) -> None:
            nonlocal said
            if message["type"] == "lifespan.startup.failed":
                said = message.get("message") or "It gave no reason."
                self._unstarted = message_page("The application did not start", said)
                message = {"type": "lifespan.startup.complete"}
            await send(message)

        try:
            await self._application(scope, receive, send_unless_failed)
        except Exception as error:
            if self._unstarted is None:
                raise
            # Frameworks say that they have failed, and raise on.
            self._unstarted = draw(error, "lifespan.startup")
        else:
            if self._unstarted is not None:
                log.error("the application did not start: %s", said)


async def _answer(send: Send, page: bytes) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": page})


def _is_local(scope: Scope) -> bool:
    environ = {"REMOTE_ADDR": (scope.get("client") or ("",))[0]}
    for name, _ in scope["headers"]:
        environ["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = ""
    return is_local(environ)
