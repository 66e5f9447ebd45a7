#!/usr/bin/env python3

# A handler of fastai's with a server of the standard library.
from socketserver import TCPServer

from fastcgi import FcgiHandler


class TestHandler(FcgiHandler):
    def handle(self):
        self["stdout"].write(b"Content-Type: text/plain\r\n\r\n")
        self["stdout"].write(b"query: " + self.environ["QUERY_STRING"].encode() + b", body: " + self["stdin"].read())


with TCPServer(("localhost", 1234), TestHandler) as srv:
    srv.serve_forever()
