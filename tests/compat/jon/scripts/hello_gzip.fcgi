#!/usr/bin/env python

from jon import cgi, fcgi

class Handler(cgi.DebugHandler):
  def process(self, req):
    if "fail" in req.params:
      raise ValueError(req.params["fail"])
    req.set_header("Content-Type", "text/plain")
    for number in range(int(req.params.get("lines", 1))):
      req.write("Line " + str(number) + "\n")

fcgi.Server({fcgi.FCGI_RESPONDER: Handler}, request_type=fcgi.GZipRequest).run()
