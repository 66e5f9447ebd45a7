"""This file does for ASGI applications under `penstock dev` what pages.py does for WSGI: exceptions become pages."""

from __future__ import annotations

from typing import final

from penstock.cli.dev.pages import HEADERS, draw, is_local
from penstock.gateways.asgi import ASGIApplication, Message, Receive, Scope, Send


@final
class DebuggedASGI:
    """An ASGI application whose exceptions become pages, as long as nothing of its response has been sent.

    Frameworks answer 500 themselves and then raise on, so that the server may log it: such an answer is held back until
    the application has returned.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            page = draw(error, f"{scope['method']} {scope['path']}")
            headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": page})
            return
        for message in held:
            await send(message)


def _is_local(scope: Scope) -> bool:
    environ = {"REMOTE_ADDR": (scope.get("client") or ("",))[0]}
    for name, _ in scope["headers"]:
        environ["HTTP_" + name.decode("latin-1").upper().replace("-", "_")] = ""
    return is_local(environ)
