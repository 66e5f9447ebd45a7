#!/usr/bin/env python3

# The loop of Robin Dunn's module.
import fcgi

count = 0
while fcgi.isFCGI():
    req = fcgi.Accept()
    count += 1
    req.out.write("Content-Type: text/plain\n\n")
    req.out.write("Request %d for %s\n" % (count, req.env["PATH_INFO"]))
    req.Finish()
