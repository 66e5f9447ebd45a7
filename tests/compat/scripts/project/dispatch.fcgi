#!/usr/bin/env python3

# A dispatcher as shared hosts told their customers to write one, in a folder with its application.
import cgi
from urllib.parse import parse_qs

import application
from fcgi import WSGIServer


class Request(object):
    pass


def app(e, start_response):
    req = Request()
    req.form = cgi.FieldStorage(fp=e["wsgi.input"], environ=e)
    req.params = parse_qs(e["QUERY_STRING"])
    req.path = e["SCRIPT_NAME"], e["PATH_INFO"]
    start_response("200 OK", [("Content-type", "text/html")])
    return [application.start(req)]


WSGIServer(app).run()
