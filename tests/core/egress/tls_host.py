"""A host of HTTP/1.1 over TLS, with a certificate by an authority of the tests' own."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator

VALUE = "ghp_0123456789abcdefABCDEF"


class Host:
    """A TLS server of one of the hosts: takes requests of HTTP/1.1 and answers each by ``answer``.

    Attributes:
        heads: of the requests that it got, as they came.
        bodies: theirs.
    """

    def __init__(
        self, listener: socket.socket, context: ssl.SSLContext, answer: Callable[[bytes], bytes]
    ) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.listener, self._context, self._answer = listener, context, answer
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            with suppress(OSError):
                plain.settimeout(30)
                with self._context.wrap_socket(plain, server_side=True) as sock:
                    self._talk(sock)

    def _talk(self, sock: ssl.SSLSocket) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                if not (piece := sock.recv(65536)):
                    return
                pending += piece
            head, _, pending = pending.partition(b"\r\n\r\n")
            body = b""
            if b"transfer-encoding: chunked" in head.lower():
                while not pending.endswith(b"0\r\n\r\n"):
                    pending += sock.recv(65536)
                body, pending = pending, b""
            elif b"content-length: " in head.lower():
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                while len(pending) < length:
                    pending += sock.recv(65536)
                body, pending = pending[:length], pending[length:]
            self.heads.append(head)
            self.bodies.append(body)
            sock.sendall(self._answer(head))
            if b"upgrade: websocket" in head.lower():
                while piece := sock.recv(65536):
                    sock.sendall(piece)
                return


def answered(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def echo(head: bytes) -> bytes:
    """As such hosts do that show what they were sent."""
    return answered(json.dumps({"head": head.decode()}).encode(), f"X-Seen: {VALUE}")


@contextmanager
def answering_tls(
    listener: socket.socket, context: ssl.SSLContext, answer: Callable[[bytes], bytes]
) -> Generator[Host]:
    """While in this context a host answers on ``listener``; behind it, that is closed."""
    made = Host(listener, context, answer)
    made.thread.start()
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        made.thread.join(30)
