"""This file guards pages with user names and passwords, as an authorizer that a web server asks before it goes on.

Serve it: penstock serve examples/handlers/authorizer.py

The one handler answers lighttpd (mode "authorizer"), Apache (FcgidAuthenticator) and nginx (auth_request); the
configuration of each is in docs/authorizers.md.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode

import penstock

# A real one keeps hashes, in a file or a database.
PASSWORDS = {"bob": "open sesame"}

CHALLENGE = {"WWW-Authenticate": 'Basic realm="members", charset="UTF-8"'}


def credentials(request):
    """User and password, each character one byte; Apache has taken them out of the header already."""
    if "REMOTE_PASSWD" in request.params:
        return request.params.get("REMOTE_USER", ""), request.params["REMOTE_PASSWD"]
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(encoded, validate=True).decode("latin-1").partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return user, password


class Guard(penstock.Handler):
    """Lets the users of the table through and tells the web server who they are."""

    guards = True  # nginx asks in the role of a Responder

    def process(self, request):
        user, password = credentials(request)
        known = PASSWORDS.get(user.encode("latin-1").decode("utf-8", "replace"))
        # Compared in any case, so that the time does not tell which names there are.
        same = hmac.compare_digest(password.encode("latin-1"), (known or "").encode())
        if known is not None and same:
            request.allow(REMOTE_USER=user)
        else:
            request.deny(401, "<h1>Members only</h1>", CHALLENGE)


app = {penstock.Role.AUTHORIZER: Guard, penstock.Role.RESPONDER: Guard}

if __name__ == "__main__":
    penstock.serve(app)
