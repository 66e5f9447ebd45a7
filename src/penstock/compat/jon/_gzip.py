"""This file is jon.cgi's GZipMixIn: a body that is compressed where the client takes it."""

from __future__ import annotations

import zlib
from typing import Any, Final

from penstock.compat.jon._answer import SequencingError
from penstock.compat.jon._request import Request
from penstock.gateways.compression import accepts_gzip, compressed, vary_by_encoding

_GZIP_FORMAT: Final = 31  # zlib's window of 32 KiB, with gzip's header and trailer around it


class GZipMixIn(Request):
    """Put before a transport, it makes one that compresses: `class GZipCGIRequest(GZipMixIn, CGIRequest)`.

    Every body is compressed, unless `gzip_level(0)`; but not the answer of an authorizer, a part of a file (206), what
    has a Content-Encoding already (jonpy compressed it again), and what must not be changed (no-transform).
    """

    def _init(self, *args: Any, **kwargs: Any) -> None:
        self._gzip: Any = None
        self._gzip_level = 6
        super()._init(*args, **kwargs)

    def gzip_level(self, level: int = 6) -> None:
        """Compress at this level, 1 to 9; 0 is not at all, for pictures say, which are small already.

        Raises:
            SequencingError: the headers are out.
            ValueError: there is no such level.
        """
        if level == self._gzip_level:
            return
        if self._doneHeaders:
            raise SequencingError("gzip_level() comes after the headers")
        if not 0 <= level <= 9:
            raise ValueError(f"there is no gzip level {level!r}; use 0 to 9")
        self._gzip_level = level

    def output_headers(self) -> None:
        """End the headers, which say from here on whether the body is compressed."""
        self._check_open()
        compress = False
        if not self._doneHeaders and self._gzip_level and self._may_compress():
            self._headers = vary_by_encoding(self._headers)
            compress = accepts_gzip(self.environ.get("HTTP_ACCEPT_ENCODING", ""))
            if compress:
                self._headers = compressed(self._headers)
        super().output_headers()
        if compress:
            self._gzip = zlib.compressobj(self._gzip_level, zlib.DEFLATED, _GZIP_FORMAT)

    def _may_compress(self) -> bool:
        return (
            (self.get_header("Status") or "200")[:3] not in ("204", "206", "304")
            and self.get_header("Content-Encoding") is None
            and self.get_header("Content-Range") is None
            and "no-transform" not in (self.get_header("Cache-Control") or "").lower()
            and self.environ.get("FCGI_ROLE") != "AUTHORIZER"
        )

    def _write(self, s: bytes) -> None:
        super()._write(s if self._gzip is None else self._gzip.compress(s))

    def _flush(self) -> None:
        if self._gzip is not None and not self._closing:
            self._flushing = True
            super()._write(self._gzip.flush(zlib.Z_SYNC_FLUSH))
            self._flushing = False
        super()._flush()

    def _close(self) -> None:
        if self._gzip is not None:
            # With the trailer, which jonpy left out over FastCGI: a client could not tell that it had everything.
            super()._write(self._gzip.flush(zlib.Z_FINISH))
            self._gzip = None
        super()._close()
