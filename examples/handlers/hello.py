"""This file is a page with a form, a cookie and an upload, as a penstock handler: no framework in between.

Serve it: penstock serve examples/handlers/hello.py
"""

from __future__ import annotations

import hashlib
from html import escape

import penstock

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hello</title>
<h1>Hello, {name}!</h1>
<form method="post" enctype="multipart/form-data">
  <p><label>Your name: <input name="name"></label>
  <p><label>A file: <input name="file" type="file"></label>
  <p><button>Send</button>
</form>
{files}
"""


class Hello(penstock.Handler):
    """Greets by the name that the cookie remembers; a posted form sets it."""

    def process(self, request):
        request.gzip = True
        if request.method == "POST":
            name = request.form.get("name") or "whoever you are"
            request.set_cookie("name", name, max_age=86400)
        else:
            name = request.cookies.get("name", "world")
        files = "".join(
            f"<p>{escape(upload.filename)}: {upload.size} bytes,"
            f" sha256 {hashlib.file_digest(upload.file, 'sha256').hexdigest()}\n"
            for upload in request.files.getall("file")
        )
        request.write(PAGE.format(name=escape(name), files=files))


app = Hello

if __name__ == "__main__":
    penstock.serve(app)
