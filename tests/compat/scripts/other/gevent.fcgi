#!/usr/bin/env python3
from gevent_fastcgi.wsgi import WSGIServer


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"gevent at " + environ["PATH_INFO"].encode()]


WSGIServer("gevent.sock", application).serve_forever()
