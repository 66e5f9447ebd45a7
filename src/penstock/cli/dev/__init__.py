"""`penstock dev`: a browser's HTTP in front, our own server behind it in a process that is renewed on every change.

    browser -> uvicorn -> front.py -> client -> FastCGI -> child.py: server -> pages.py -> the application
                                                              ^
                          command.py: watchfiles -> backend.py: starts it, renews it, ends it

This file is empty, so that the process of the application loads nothing of the front.
"""
