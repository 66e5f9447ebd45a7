"""This file holds the views and their forms.

    GET  /         the page with both forms; counts your visits in the session
    POST /greet/   remembers `name` in the session and redirects to the page, which greets
    POST /upload/  a file: answers its name, size and SHA-256
    GET  /file/    a picture through FileResponse, which hands it to wsgi.file_wrapper
    GET  /stream/  five lines, one every `pause` seconds (default 0.2), sent as they are made

Both POSTs are protected: they need the cookie `csrftoken` and the field `csrfmiddlewaretoken` of the page.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from django import forms
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST


class NameForm(forms.Form):
    name = forms.CharField(max_length=80)


class UploadForm(forms.Form):
    file = forms.FileField(allow_empty_file=True)


def _page(request: HttpRequest, status: int = 200, **bound: forms.Form) -> HttpResponse:
    context = {"name_form": NameForm(), "upload_form": UploadForm(), **bound}
    return render(request, "page.html", context, status=status)


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return _page(request)


@require_POST
def greet(request: HttpRequest) -> HttpResponse:
    form = NameForm(request.POST)
    if not form.is_valid():
        return _page(request, 400, name_form=form)
    request.session["name"] = form.cleaned_data["name"]
    return redirect("page")


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, 400, upload_form=form)
    file = form.cleaned_data["file"]
    digest = hashlib.sha256()
    for block in file.chunks():
        digest.update(block)
    return JsonResponse({"name": file.name, "size": file.size, "sha256": digest.hexdigest()})


@require_GET
def file(request: HttpRequest) -> FileResponse:
    return FileResponse((settings.BASE_DIR / "drop.svg").open("rb"), content_type="image/svg+xml")


@require_GET
def stream(request: HttpRequest) -> StreamingHttpResponse:
    pause = min(float(request.GET.get("pause", "0.2")), 5.0)

    def lines() -> Iterator[str]:
        for number in range(1, 6):
            yield f"line {number}\n"
            time.sleep(pause)

    # nginx would otherwise collect the lines and send them as one.
    return StreamingHttpResponse(lines(), content_type="text/plain", headers={"X-Accel-Buffering": "no"})
