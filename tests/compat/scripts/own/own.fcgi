#!/usr/bin/env python3

# A program that brings its own server, and knows nothing of penstock.
from site_server import WSGIServer


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"served by the copy"]


WSGIServer(application).run()
