"""This file is a Starlette application with the shapes that Starlette's documentation shows."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).resolve().parents[2] / "examples" / "flask_app" / "static"


async def home(request):
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    return PlainTextResponse(f"visit {visits}")


async def show(request):
    return JSONResponse(
        {
            "url": str(request.url),
            "base": str(request.base_url),
            "link": str(request.url_for("inner:page", name="x")),
            "client": request.client.host,
            "started": request.state.started,
            "query": request.query_params.multi_items(),
            "cookies": request.cookies,
        }
    )


async def form(request):
    async with request.form() as found:
        said: dict[str, object] = {}
        for name, value in found.multi_items():
            if isinstance(value, str):
                said[name] = value
            else:
                content = await value.read()
                digest = hashlib.sha256(content).hexdigest()
                said[name] = {"name": value.filename, "size": len(content), "sha256": digest}
    return JSONResponse(said)


async def body(request):
    """Reads the body while it arrives."""
    size, digest = 0, hashlib.sha256()
    async for piece in request.stream():
        size += len(piece)
        digest.update(piece)
    return JSONResponse({"size": size, "sha256": digest.hexdigest()})


async def lines(_request):
    async def make():
        for number in range(5):
            yield f"line {number}\n"

    return StreamingResponse(make(), media_type="text/plain")


async def events(request):
    """Server-sent events: each waits for a request to /go."""
    bell = request.state.bell

    async def make():
        try:
            number = 0
            while True:
                yield f"data: {number}\n\n"
                await bell.wait()
                bell.clear()
                number += 1
        finally:
            print("the stream of events has ended", file=sys.stderr, flush=True)

    return StreamingResponse(make(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def go(request):
    request.state.bell.set()
    return PlainTextResponse("gone")


async def behind(request):
    async def work():
        await asyncio.sleep(0)
        print(f"worked on {request.query_params['name']}", file=sys.stderr, flush=True)

    return PlainTextResponse("done soon", background=BackgroundTask(work))


async def big(_request):
    return PlainTextResponse("words and more words. " * 5000)


class Item(HTTPEndpoint):
    async def get(self, request):
        raise HTTPException(404, detail=f"no item {request.path_params['number']}", headers={"X-Why": "gone"})


async def broken(_request):
    raise ZeroDivisionError("a secret")


async def sorry(_request, _error):
    return PlainTextResponse("we are sorry", status_code=500)


async def page(request):
    scope = request.scope
    return JSONResponse({"root_path": scope["root_path"], "path": scope["path"], "name": request.path_params["name"]})


async def move(request):
    return RedirectResponse(request.url_for("home"), status_code=303)


async def cookie(_request):
    response = PlainTextResponse("set")
    response.set_cookie("one", "1", httponly=True)
    response.set_cookie("two", "2")
    return response


async def chat(websocket):
    await websocket.accept(subprotocol="chat")
    async for text in websocket.iter_text():
        await websocket.send_text(f"{websocket.state.started}: {text}")


@contextlib.asynccontextmanager
async def lifespan(_app):
    yield {"started": "yes", "bell": asyncio.Event()}
    print("the lifespan has ended", file=sys.stderr, flush=True)


app = Starlette(
    routes=[
        Route("/", home, name="home"),
        Route("/show", show),
        Route("/form", form, methods=["POST"]),
        Route("/body", body, methods=["POST", "PUT"]),
        Route("/lines", lines),
        Route("/events", events),
        Route("/go", go),
        Route("/behind", behind),
        Route("/big", big),
        Route("/item/{number:int}", Item),
        Route("/broken", broken),
        Route("/move", move),
        Route("/cookie", cookie),
        Route("/file", lambda _request: FileResponse(STATIC / "drop.svg")),
        WebSocketRoute("/chat", chat),
        Mount("/static", StaticFiles(directory=STATIC)),
        Mount("/inner", routes=[Route("/{name}", page, name="page")], name="inner"),
    ],
    middleware=[
        Middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["GET", "PUT"]),
        Middleware(GZipMiddleware, minimum_size=1000),
        Middleware(SessionMiddleware, secret_key="not a secret"),
    ],
    exception_handlers={500: sorry},
    lifespan=lifespan,
)
