#!/usr/bin/env python3
from flipflop import WSGIServer


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"flipflop at " + environ["PATH_INFO"].encode()]


WSGIServer(application).run()
