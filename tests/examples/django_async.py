"""This file is a Django site in one file, with async and blocking views, for Django's ASGI handler."""

from __future__ import annotations

import asyncio
import hashlib
import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, reverse
from django.views import View

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not a secret",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.gzip.GZipMiddleware",
    ],
    LOGGING_CONFIG=None,
)
django.setup()


async def home(request):
    visits = await request.session.aget("visits", 0) + 1
    await request.session.aset("visits", visits)
    return HttpResponse(f"visit {visits}")


async def show(request):
    await asyncio.sleep(0)
    return JsonResponse(
        {
            "uri": request.build_absolute_uri(),
            "path": request.path,
            "path_info": request.path_info,
            "link": reverse("item", args=[7]),
            "query": request.GET.dict(),
            "client": request.META["REMOTE_ADDR"],
        }
    )


def item(_request, number):
    return HttpResponse(f"item {number}")


class Upload(View):  # type: ignore[misc] # Django has no types
    async def post(self, request):
        found = request.FILES["file"]
        digest = hashlib.sha256(b"".join(found.chunks())).hexdigest()
        return JsonResponse({"name": found.name, "size": found.size, "sha256": digest, "note": request.POST["note"]})


async def body(request):
    return JsonResponse({"size": len(request.body)})


async def lines(_request):
    async def make():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"line {number}\n"

    return StreamingHttpResponse(make(), content_type="text/plain")


def blocking_lines(_request):
    return StreamingHttpResponse((f"line {number}\n" for number in range(5)), content_type="text/plain")


def file(_request):
    return FileResponse(open(__file__, "rb"))


async def wait(_request):
    """Waits until its client leaves: Django cancels it."""
    print("waiting", file=sys.stderr, flush=True)
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        print("cancelled", file=sys.stderr, flush=True)
        raise


async def broken(_request):
    raise ZeroDivisionError("a secret")


async def forbidden(_request):
    raise PermissionDenied


urlpatterns = [
    path("", home),
    path("show/", show),
    path("item/<int:number>/", item, name="item"),
    path("upload/", Upload.as_view()),
    path("body/", body),
    path("lines/", lines),
    path("blocking-lines/", blocking_lines),
    path("file/", file),
    path("wait/", wait),
    path("broken/", broken),
    path("forbidden/", forbidden),
]

application = get_asgi_application()
