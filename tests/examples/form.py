"""This file makes the bodies of HTML forms, as browsers send them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

URLENCODED = "application/x-www-form-urlencoded"
_BORDER = "a-border-that-no-file-holds"
MULTIPART = f"multipart/form-data; boundary={_BORDER}"


def urlencoded(**fields: str) -> bytes:
    """A form without a file."""
    return urlencode(fields).encode()


def multipart(fields: Mapping[str, str], filename: str, content: bytes) -> bytes:
    """A form with fields and one file, whose field is called `file`."""
    parts = [
        f'--{_BORDER}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{_BORDER}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
    parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n")
    return b"".join((*parts, f"--{_BORDER}--\r\n".encode()))
