"""This file is a server that a program carries along, in the shape of Trac's and web2py's copies of an old one.

It takes the listening socket from descriptor 0 as those do, obeys signals in its own way, and knows no more of FastCGI
than one answer.
"""

import errno
import select
import signal
import socket
import struct


class WSGIServer:
    """Answers every request with what the application gives for an empty environ."""

    def __init__(self, application):
        self.application = application
        self.going = True

    def run(self):
        sock = socket.fromfd(0, socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.getpeername()
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        before = signal.signal(signal.SIGTERM, self.stop)
        print("copy: ready", flush=True)
        while self.going:
            if select.select([sock], [], [], 0.1)[0]:
                connection, _ = sock.accept()
                self.answer(connection)
        signal.signal(signal.SIGTERM, before)
        sock.close()

    def stop(self, *_):
        self.going = False

    def answer(self, connection):
        with connection, connection.makefile("rb") as received:
            kind, length, request_id = 0, 1, 0
            while kind != 5 or length:  # FCGI_STDIN, and its end
                _, kind, request_id, length, padding, _ = struct.unpack("!BBHHBB", received.read(8))
                received.read(length + padding)
            body = b"".join(self.application({}, lambda status, headers: None))
            out = b"Content-Type: text/plain\r\n\r\n" + body
            connection.sendall(
                struct.pack("!BBHHBB", 1, 6, request_id, len(out), 0, 0)
                + out
                + struct.pack("!BBHHBB", 1, 6, request_id, 0, 0, 0)
                + struct.pack("!BBHHBB", 1, 3, request_id, 8, 0, 0)
                + bytes(8)
            )
