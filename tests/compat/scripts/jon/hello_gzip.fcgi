#!/usr/bin/env python3

# The same with compression, and the other way to import.
from jon import cgi, fcgi


class Handler(cgi.Handler):
    def process(self, req):
        req.set_header("Content-Type", "text/plain")
        for number in range(int(req.params.get("lines", 100))):
            req.write("Line %d of a page that is worth it.\n" % number)


fcgi.Server({fcgi.FCGI_RESPONDER: Handler}, request_type=fcgi.GZipRequest).run()
