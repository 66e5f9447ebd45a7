#!/usr/bin/env python3

# Django's way up to 1.8, with a site in this one file.
import sys

from django.conf import settings
from django.core.servers.fastcgi import runfastcgi
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("hello", lambda request: HttpResponse("django at " + request.path, "text/plain"))]
settings.configure(ROOT_URLCONF=sys.modules[__name__], ALLOWED_HOSTS=["*"], SECRET_KEY="of a test")
runfastcgi(method="threaded", daemonize="false")
