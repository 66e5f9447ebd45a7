"""This room is gevent-fastcgi: `gevent_fastcgi.server.FastCGIServer` and `gevent_fastcgi.wsgi.WSGIServer`.

Requests run in threads here, and gevent is not needed.
"""
