"""Messages between processes of one gang on several hosts, each of which knows its secret.

A connection carries one message and its answer. Both ends prove, before either says
anything else, that they know the secret, without telling it; nothing is encrypted.
"""

import contextlib
import hashlib
import hmac
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable

from ..errors import PeerFailed

__all__ = ["Address", "PostOffice", "post"]

Address = tuple[str, int]

_NONCE_BYTES = 32
_LENGTH = struct.Struct("!Q")
#: How long a stranger may take to prove that it is none, in seconds.
_GREETING_SECONDS = 10.0


class PostOffice:
    """Answers messages, in threads of its own, from those who know a secret.

    Parameters
    ----------
    host : str
        An address of this machine, or where it has none such (it may be behind one that
        others see), a name for it: then it listens on all.
    answer : callable
        Returns the answer to a message, in its own time. May be called in several threads
        at once.
    """

    def __init__(
        self, host: str, secret: bytes, answer: Callable[[bytes], bytes]
    ) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, PeerFailed):
                    self.request.settimeout(_GREETING_SECONDS)
                    _greet(self.request, secret, is_server=True)
                    with answering:
                        message = _receive(self.request)
                        _send(self.request, answer(message))

        self._answering = answering = _Count()
        self._server = _Server(host, Handler)
        self.address: Address = (host, self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Listen no longer. Answers that are under way are given before."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._answering.wait_for_none(_GREETING_SECONDS)


def post(
    address: Address,
    secret: bytes,
    message: bytes,
    timeout: float,
    answer_timeout: float | None = None,
) -> bytes:
    """Send a message, and return its answer.

    Parameters
    ----------
    timeout : float
        Seconds that the other end may take to say something.
    answer_timeout : float, optional
        Seconds that it may take to answer; as long as it is there, if not given.

    Raises
    ------
    OSError
        Nobody answers.
    PeerFailed
        Who answers does not know the secret, or ended in the middle.
    """
    with socket.create_connection(address, timeout) as connection:
        _greet(connection, secret, is_server=False)
        _send(connection, message)
        connection.settimeout(answer_timeout)
        return _receive(connection)


class _Count:
    """How many are inside."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0, timeout)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, handler: type[socketserver.BaseRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, 0), handler)
        except OSError:  # not an address of this machine
            super().__init__(("", 0), handler)


def _greet(connection: socket.socket, secret: bytes, *, is_server: bool) -> None:
    """Exchange proofs. Each side proves itself for the other's number, in its own role."""
    own = os.urandom(_NONCE_BYTES)
    connection.sendall(own)
    theirs = _read(connection, _NONCE_BYTES)
    ours, expected = (b"server", b"client") if is_server else (b"client", b"server")
    proof = hmac.digest(secret, ours + theirs, hashlib.sha256)
    if not is_server:  # who comes says first who it is
        connection.sendall(proof)
    found = _read(connection, len(proof))
    if not hmac.compare_digest(
        found, hmac.digest(secret, expected + own, hashlib.sha256)
    ):
        raise PeerFailed("this is not the secret of the gang, or of this attempt of it")
    if is_server:
        connection.sendall(proof)


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(message)) + message)


def _receive(connection: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_read(connection, _LENGTH.size))
    return _read(connection, length)


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 1 << 20))
        if not part:
            raise PeerFailed("the other end of a connection of the gang has ended")
        data += part
    return bytes(data)
