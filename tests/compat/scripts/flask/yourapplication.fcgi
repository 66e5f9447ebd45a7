#!/usr/bin/env python3
# A script as Flask's documentation had it for shared hosts.
import sys

sys.path.insert(0, "/home/customer/lib/python/site-packages")

from flup.server.fcgi import WSGIServer
from yourapplication import app


class ScriptNameStripper(object):
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ["SCRIPT_NAME"] = ""
        return self.app(environ, start_response)


app = ScriptNameStripper(app)

if __name__ == "__main__":
    WSGIServer(app).run()
