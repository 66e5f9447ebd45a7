"""This file is a FastAPI application with the shapes that FastAPI's documentation shows."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from typing import Annotated

from fastapi import (
    APIRouter,
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Request,
    Response,
    UploadFile,
)
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "flask_app" / "static" / "drop.svg"


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"greeting": "hello"}
    print("the lifespan has ended", file=sys.stderr, flush=True)


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    name: str = Field(min_length=2)
    price: float
    tags: list[str] = []


class Sold(Exception):
    """What an exception handler of the application answers."""


@app.exception_handler(Sold)
async def sold(_request, error):
    return JSONResponse({"sold": str(error)}, status_code=410)


@app.middleware("http")
async def stamp(request: Request, call_next):
    response: Response = await call_next(request)
    response.headers["X-Seen"] = request.url.path
    return response


@app.get("/orders/{number}")
async def read(number: int, q: str | None = None, session: Annotated[str | None, Cookie()] = None):
    if number == 0:
        raise HTTPException(status_code=418, detail="no tea", headers={"X-Pot": "short"})
    if number == 1:
        raise Sold("to somebody else")
    return {"number": number, "q": q, "session": session}


@app.put("/orders/{number}", status_code=201)
async def write(number: int, order: Order) -> Order:
    return order


@app.get("/threaded")
def threaded(request: Request):
    """A blocking handler, which FastAPI runs in a thread."""
    return {"greeting": request.state.greeting}


@app.post("/login")
async def login(username: Annotated[str, Form()], password: Annotated[str, Form()]):
    return {"username": username, "length": len(password)}


@app.post("/uploads")
async def uploads(file: Annotated[UploadFile, File()], note: Annotated[str, Form()] = ""):
    digest, size = hashlib.sha256(), 0
    while piece := await file.read(65536):
        digest.update(piece)
        size += len(piece)
    return {"name": file.filename, "size": size, "sha256": digest.hexdigest(), "note": note}


@app.post("/mail")
async def mail(tasks: BackgroundTasks, to: str):
    tasks.add_task(lambda: print(f"mail to {to}", file=sys.stderr, flush=True))
    return {"sent": "soon"}


@app.get("/stream")
async def stream():
    return StreamingResponse((f"line {number}\n".encode() for number in range(5)), media_type="text/plain")


@app.get("/file")
async def file():
    return FileResponse(PICTURE)


@app.get("/broken")
async def broken():
    raise ZeroDivisionError("a secret")


def key(x_key: Annotated[str, Header()]) -> str:
    if x_key != "right":
        raise HTTPException(401, "a wrong key")
    return x_key


router = APIRouter(prefix="/inside", dependencies=[Depends(key)])


@router.get("/room")
async def room():
    return ["a", "table"]


app.include_router(router)

small = FastAPI()


@small.get("/where")
async def where(request: Request):
    return {"root_path": request.scope["root_path"], "url": str(request.url)}


app.mount("/small", small)
