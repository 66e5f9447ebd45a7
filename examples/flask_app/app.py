"""This file is a small Flask application with one of everything that a server can get wrong.

    GET  /         the page; counts your visits in a cookie
    POST /greet    a form: greets `name`
    POST /upload   a file: answers its name, size and SHA-256
    GET  /file     the same picture as /static/drop.svg, through send_file, which hands it to wsgi.file_wrapper
    GET  /stream   five lines, one every `pause` seconds (default 0.2), sent as they are made

Serve it: penstock serve examples/flask_app/app.py
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, make_response, render_template, request, send_file

app = Flask(__name__)
PICTURE = Path(__file__).parent / "static" / "drop.svg"


@app.get("/")
def page() -> Response:
    visits = request.cookies.get("visits", default=0, type=int) + 1
    response = make_response(render_template("page.html", visits=visits))
    response.set_cookie("visits", str(visits), httponly=True, samesite="Lax")
    return response


@app.post("/greet")
def greet() -> str:
    return render_template("greeting.html", name=request.form["name"])


@app.post("/upload")
def upload() -> dict[str, str | int | None]:
    file = request.files["file"]
    size, digest = 0, hashlib.sha256()
    while block := file.stream.read(65536):
        size += len(block)
        digest.update(block)
    return {"name": file.filename, "size": size, "sha256": digest.hexdigest()}


@app.get("/file")
def file() -> Response:
    return send_file(PICTURE, mimetype="image/svg+xml")


@app.get("/stream")
def stream() -> Response:
    pause = min(request.args.get("pause", default=0.2, type=float), 5.0)

    def lines() -> Iterator[str]:
        for number in range(1, 6):
            yield f"line {number}\n"
            time.sleep(pause)

    # nginx would otherwise collect the lines and send them as one.
    return Response(lines(), mimetype="text/plain", headers={"X-Accel-Buffering": "no"})
