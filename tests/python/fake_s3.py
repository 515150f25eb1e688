"""As much of S3 as reading one object takes, with failures and silence at will."""

import contextlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

URI = "s3://bucket/table.parquet"
EMPTY_LISTING = (
    b"<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount>"
    b"<IsTruncated>false</IsTruncated></ListBucketResult>"
)


class FakeS3:
    """The only object; what is asked for with GET waits while `silent` holds.

    Attributes
    ----------
    options : dict
        Storage options that reach it; the credentials are free to choose.
    status : int
        Of every answer, unless it is 200.
    """

    def __init__(self, content: bytes, port: int) -> None:
        self.content = content
        self.options = options(port)
        self.status = 200
        self._answering = threading.Event()
        self._answering.set()
        self._asked = threading.Event()

    def fall_silent(self) -> None:
        self._asked.clear()
        self._answering.clear()

    def wait_until_asked(self) -> None:
        """Wait for a request that gets no answer."""
        assert self._asked.wait(60)

    def answer_again(self) -> None:
        self._answering.set()

    def hold(self) -> None:
        if not self._answering.is_set():
            self._asked.set()
            self._answering.wait()


def options(port: int) -> dict[str, str]:
    return {
        "access_key": "an-access-key",
        "secret_key": "a-secret-key",
        "region": "eu-central-1",
        "scheme": "http",
        "endpoint_override": f"127.0.0.1:{port}",
    }


class Server(ThreadingHTTPServer):
    daemon_threads = True
    object: FakeS3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_HEAD(self) -> None:
        self.answer(b"" if self.server.object.status != 200 else self.part())

    def do_GET(self) -> None:
        self.server.object.hold()
        if "list-type" in self.path:  # nothing lies below the object
            self.answer(EMPTY_LISTING)
        else:
            self.do_HEAD()

    def part(self) -> bytes:
        content = self.server.object.content
        wanted = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        return content[int(wanted[1]) : int(wanted[2]) + 1] if wanted else content

    def answer(self, body: bytes) -> None:
        status = self.server.object.status
        partial = status == 200 and "Range" in self.headers
        with contextlib.suppress(ConnectionError):  # the reader may have gone
            self.send_response(206 if partial else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextlib.contextmanager
def serve(content: bytes) -> Iterator[FakeS3]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.object = FakeS3(content, server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.object
        finally:
            server.object.answer_again()
            server.shutdown()
            thread.join()
