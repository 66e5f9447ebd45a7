"""This room is flup's interface (flup 1.0.3, flup6, flup-py3) on top of penstock: the modules have flup's names.

    flup.server.fcgi.WSGIServer         penstock.compat.flup.server.fcgi.WSGIServer
    flup.client.fcgi_app.FCGIApp        penstock.compat.flup.client.fcgi_app.FCGIApp

Names in mixedCase are flup's own. What stands beside `server`, `client` and `middleware` is ours, and no part of flup.
"""
