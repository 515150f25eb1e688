"""TLS in front of a server: what comes by https is handed on as it is, without."""

import contextlib
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """For HOST, signed by itself."""

    file: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=headrace tests",
            "-addext", f"subjectAltName=IP:{HOST}",
            "-keyout", made.key, "-out", made.file,
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64
    context: ssl.SSLContext
    port_behind: int


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        # A client that does not trust the certificate goes away within this.
        with (
            contextlib.suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as secure,
            socket.create_connection((HOST, self.server.port_behind)) as behind,
        ):
            back = threading.Thread(target=_copy, args=(behind, secure))
            back.start()
            _copy(secure, behind)
            back.join()


@contextlib.contextmanager
def in_front_of(port: int, certificate: Certificate) -> Iterator[int]:
    """The port where the server at `port` is reached by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    with _Server((HOST, 0), _Handler) as server:
        server.context, server.port_behind = context, port
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
