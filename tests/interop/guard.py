"""This file is the authorizer of the tests: it knows a cookie and a password, and refuses in several ways.

`penstock serve tests/interop/guard.py` serves it; Apache's mod_fcgid runs it as a program.
"""

from __future__ import annotations

import penstock

PAGE = "<h1>Members only</h1>"


class Guard(penstock.Handler):
    """Lets `key=open` or the right password through; for anybody else the query says how."""

    guards = True  # nginx asks in the role of a Responder

    def process(self, request):
        asked = request.params["REQUEST_URI"]
        if request.cookies.get("key") == "open" or request.params.get("REMOTE_PASSWD") == "open sesame":
            request.set_header("X-Guard", "passed")
            request.allow(REMOTE_USER="bob", MEMBER_SINCE="1996")
            if "raise" in asked:
                raise LookupError("lost after allow()")
        elif "login" in asked:
            request.deny(302, PAGE, {"Location": "/login"})
        else:
            headers = {"X-Guard": "refused", "X-Path": request.path, "WWW-Authenticate": "Key"}
            request.deny(401 if "401" in asked else 403, PAGE, headers)


app = {penstock.Role.AUTHORIZER: Guard, penstock.Role.RESPONDER: Guard}

if __name__ == "__main__":
    penstock.serve(app)
