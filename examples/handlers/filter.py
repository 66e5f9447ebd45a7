"""This file numbers the lines of a text, as a filter: the web server sends the file, and gets what clients see.

No web server of today asks filters, so ask it by hand:

    penstock serve examples/handlers/filter.py --bind unix:filter.sock
    penstock request unix:filter.sock /notes.txt --role filter --filter-data @README.md
"""

from __future__ import annotations

from datetime import datetime

import penstock

# The answer for each path, with the time of the file that it was made from.
cache: dict[str, tuple[datetime | None, bytes]] = {}
MOST = 100


class Numbers(penstock.Handler):
    """Answers from the cache without reading a file that has not changed; half a file is no file."""

    def process(self, request):
        request.set_header("Content-Type", "text/plain; charset=utf-8")
        made_from, answer = cache.get(request.path, (None, b""))
        if made_from is None or made_from != request.data_last_modified:
            # Were the data shorter than announced, this would raise, and the client would get a 400.
            lines = request.data.read().splitlines(keepends=True)
            answer = b"".join(b"%6d  %s" % numbered for numbered in enumerate(lines, 1))
            if len(cache) >= MOST:
                cache.clear()
            cache[request.path] = (request.data_last_modified, answer)
        request.write(answer)


app = {penstock.Role.FILTER: Numbers}

if __name__ == "__main__":
    penstock.serve(app)
