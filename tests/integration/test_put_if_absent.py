"""Put-if-absent, which commits need, against real servers: one put of a path is true, ever."""

import contextlib
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import servers
from test_gcs_azure import OTHER_KEY, account_sas, with_account
from test_gcs_azure import without as without_options

PUT = Path(
    os.environ.get("HEADRACE_PUT")
    or Path(__file__).parents[2] / "build/dev/tests/cpp/headrace_put"
)
Put = Callable[..., list[str]]


@pytest.fixture(params=["s3", "gcs", "azure"])
def server(request: pytest.FixtureRequest) -> servers.Server:
    """Each of the servers in turn."""
    return request.getfixturevalue(request.param)


def put(
    uri: str, options: dict[str, str], count: int = 1, size: int = 10, **environment: str
) -> list[str]:
    """What `count` puts at once were answered."""
    flags = [f"{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [PUT, uri, str(count), str(size), *flags],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def content(server: servers.Server, path: str) -> bytes:
    with server.filesystem.open_input_stream(f"{servers.BUCKET}/{path}") as stream:
        return stream.read()


def names(server: servers.Server, folder: str) -> list[str]:
    selector = server.filesystem.get_file_info(
        servers.pyarrow.fs.FileSelector(f"{servers.BUCKET}/{folder}")
    )
    return sorted(info.base_name for info in selector if info.is_file)


def uri_of(server: servers.Server, path: str) -> str:
    return f"{server.scheme}://{servers.BUCKET}/{path}"


def test_the_first_put_is_true_and_later_ones_spare_it(server):
    uri = uri_of(server, "put/twice/0.json")
    assert put(uri, server.options, size=10) == ["true"]
    assert put(uri, server.options, size=20) == ["false"]
    assert content(server, "put/twice/0.json") == b"0:........"
    assert names(server, "put/twice") == ["0.json"]  # and nothing else


def test_of_twenty_at_once_exactly_one_is_true(server):
    for round_ in range(3):
        path = f"put/race/{round_}.json"
        answers = put(uri_of(server, path), server.options, count=20, size=2000)
        assert sorted(answers) == ["false"] * 19 + ["true"]
        winner = answers.index("true")
        assert content(server, path) == f"{winner}:".encode().ljust(2000, b".")


@pytest.mark.parametrize(
    "name",
    [
        "my table",
        "São",
        "a+b",
        "a&b=c",
        "a#b",
        "a%20b",
        "a%2Fb",
        "a?b",
        "a[b]",
        "a~'\"()b",
    ],
)
def test_a_key_is_taken_as_it_is_written(server, name):
    path = f"put/keys/{name}"
    assert put(uri_of(server, path), server.options) == ["true"]
    assert content(server, path) == b"0:........"
    assert put(uri_of(server, path), server.options) == ["false"]


@pytest.mark.parametrize("size", [0, 3 << 20])
def test_any_size_is_put(server, size):
    path = f"put/sizes/{size}"
    assert put(uri_of(server, path), server.options, size=size) == ["true"]
    assert content(server, path) == b"0:".ljust(size, b".")[:size]


@pytest.mark.parametrize("name", ["gcs", "azure"])  # SeaweedFS makes the bucket
def test_a_bucket_that_is_not_there_is_not_found(request, name):
    server = request.getfixturevalue(name)
    (said,) = put(f"{server.scheme}://no-such-bucket/x/0.json", server.options)
    assert said.startswith(f"NotFound: {server.scheme}://no-such-bucket/x/0.json: ")


@pytest.mark.parametrize("name", ["secret_key", "access_key", "session_token"])
def test_a_wrong_key_of_s3_is_denied_and_not_shown(s3, name):
    wrong = "0wrong1secret2of3a4test5not6to7be8seen9"
    (said,) = put(uri_of(s3, "put/x"), {**s3.options, name: wrong, "secret_key": wrong})
    assert said.startswith("Denied: ")
    assert "check the credentials" in said
    assert wrong not in said


def test_a_wrong_key_of_azure_is_denied_and_not_shown(azure):
    options = {**azure.options, "account_key": OTHER_KEY}
    (said,) = put(uri_of(azure, "put/x"), options)
    assert said.startswith("Denied: ")
    assert OTHER_KEY not in said


@pytest.mark.parametrize("place", ["option", "uri"])
def test_azure_takes_a_sas(azure, place):
    token = account_sas(servers.AZURE_KEY, permissions="rwdlac")
    options = without_options(azure.options, "account_key")
    uri = uri_of(azure, f"put/sas-{place}")
    if place == "option":
        options["sas_token"] = token
    else:
        uri = f"{with_account(uri)}?{token}"
    assert put(uri, options) == ["true"]
    assert put(uri, options) == ["false"]


def test_a_sas_that_may_only_read_is_denied_and_not_shown(azure):
    options = without_options(azure.options, "account_key")
    options["sas_token"] = account_sas(servers.AZURE_KEY, permissions="rl")
    (said,) = put(uri_of(azure, "put/x"), options)
    assert said.startswith("Denied: ")
    assert options["sas_token"].rpartition("sig=")[2] not in said


def test_gcs_takes_a_token(gcs):
    options = {**without_options(gcs.options, "anonymous"), "access_token": OTHER_KEY}
    assert put(uri_of(gcs, "put/token"), options) == ["true"]


def test_what_cannot_promise_it_is_refused_by_name(azure, s3):
    anonymous = {**without_options(azure.options, "account_key"), "anonymous": "true"}
    (said,) = put(uri_of(azure, "put/x"), anonymous)
    assert said.startswith("Unsupported: abfs://")
    assert '"account_key" or "sas_token"' in said
    keyless = without_options(s3.options, "access_key", "secret_key")
    (said,) = put(uri_of(s3, "put/x"), {**keyless, "anonymous": "true"})
    assert said.startswith("Unsupported: s3://")
    (said,) = put(f"gs://{servers.BUCKET}/x", {"anonymous": "true"})
    assert said.startswith("Unsupported: gs://")
    assert '"service_account_json"' in said


def test_s3_keys_and_endpoint_come_from_the_environment(s3):
    said = put(
        uri_of(s3, "put/environment"),
        {},
        AWS_ACCESS_KEY_ID=s3.options["access_key"],
        AWS_SECRET_ACCESS_KEY=s3.options["secret_key"],
        AWS_ENDPOINT_URL=f"http://{s3.options['endpoint_override']}",
        AWS_DEFAULT_REGION="us-east-1",
    )
    assert said == ["true"]
    assert content(s3, "put/environment") == b"0:........"


class Proxy(socketserver.ThreadingTCPServer):
    """Passes requests on, but for those that put `path`: of these each takes one of `plans`.

    "lose": it is passed on, and the answer is not. "busy": 503. "reset": the connection
    breaks. Once there are no more plans, all is passed on.
    """

    daemon_threads = True

    def __init__(self, port: int, path: str, plans: list[str]) -> None:
        super().__init__((servers.HOST, 0), Passage)
        self.port, self.path, self.plans = port, path, plans

    @property
    def at(self) -> str:
        return f"{servers.HOST}:{self.server_address[1]}"


class Passage(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        head = self.request.recv(1 << 16)
        put = head.startswith(b"PUT ") and f"{self.server.path} ".encode() in head
        plan = self.server.plans.pop(0) if put and self.server.plans else ""
        if plan == "reset":
            return
        if plan == "busy":
            self.request.sendall(
                b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            return
        with socket.create_connection((servers.HOST, self.server.port)) as there:
            there.sendall(head)
            threading.Thread(target=flow, args=(self.request, there), daemon=True).start()
            if plan == "lose":
                there.recv(1 << 16)
            else:
                flow(there, self.request)


def flow(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("name", ["s3", "azure"])
@pytest.mark.parametrize(
    "plans",
    [["lose"], ["busy", "busy"], ["reset"], ["lose", "busy"], ["reset", "lose", "reset"]],
    ids="-".join,
)
def test_a_put_whose_way_is_bad_is_true_and_then_false(request, name, plans):
    server = request.getfixturevalue(name)
    path = f"put/way/{'-'.join(plans)}"
    port = int(server.options["endpoint_override"].rpartition(":")[2])
    with Proxy(port, path, list(plans)) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        options = {**server.options, "endpoint_override": proxy.at}
        assert put(uri_of(server, path), options) == ["true"]
        assert proxy.plans == []
        assert content(server, path) == b"0:........"
        proxy.plans = list(plans)
        assert put(uri_of(server, path), options, size=20) == ["false"]
        assert content(server, path) == b"0:........"
        proxy.shutdown()


@pytest.mark.timeout(30)
def test_a_silent_server_is_unavailable_when_its_time_is_over(tmp_path):
    server = servers.start_s3(servers.S3Place(tmp_path / "s3"))
    options = {**server.options, "request_timeout": "0.5", "connect_timeout": "0.5"}
    try:
        with server.frozen():
            (said,) = put(uri_of(server, "x"), options)
        assert said.startswith("Unavailable: ")
        server.stop()
        (said,) = put(uri_of(server, "x"), options)
        assert said.startswith("Unavailable: ")
    finally:
        server.stop()
    assert server.options["secret_key"] not in said
