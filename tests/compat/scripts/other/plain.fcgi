#!/usr/bin/env python3


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"plain at " + environ["PATH_INFO"].encode()]
