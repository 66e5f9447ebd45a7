#!/usr/bin/env python3

# A handler as jonpy's manual shows one.
import jon.cgi as cgi
import jon.fcgi as fcgi


class Handler(cgi.Handler):
    def process(self, req):
        req.set_header("Content-Type", "text/plain")
        req.write("Good evening, %s!\n" % req.params.get("who", "everybody"))


fcgi.Server({fcgi.FCGI_RESPONDER: Handler}).run()
