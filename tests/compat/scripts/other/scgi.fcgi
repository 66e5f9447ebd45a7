#!/usr/bin/env python3
from flup.server.scgi import WSGIServer


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"scgi at " + environ["PATH_INFO"].encode()]


WSGIServer(application).run()
