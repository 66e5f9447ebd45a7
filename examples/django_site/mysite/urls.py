"""This file says which view answers which path."""

from __future__ import annotations

from django.urls import path

from mysite import views

urlpatterns = [
    path("", views.page, name="page"),
    path("greet/", views.greet, name="greet"),
    path("upload/", views.upload, name="upload"),
    path("file/", views.file, name="file"),
    path("stream/", views.stream, name="stream"),
]
