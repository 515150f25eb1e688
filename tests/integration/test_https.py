"""Commits by https, in processes where libparquet's OpenSSL comes before the system's.

A process of the second kind used to end by SIGSEGV: docs/adr/0013-puts-by-gnutls.md.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import headrace as hr
import pyarrow
import pytest
import servers
import tls
from test_put_if_absent import put

WRITE = """
import json
import os
import sys

uri, options, first = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
if first == "libparquet first":
    sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)
    import pyarrow.parquet
import headrace as hr

for i in range(3):
    hr.write({"id": [i]}, uri, mode="append", storage_options=options)
print(hr.open(uri, storage_options=options).count_rows())
"""


@dataclass
class Https:
    """SeaweedFS behind TLS; `trusting` is an environment that knows its certificate."""

    options: dict[str, str]
    trusting: dict[str, str]


@pytest.fixture(scope="module")
def https(
    s3: servers.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Https]:
    certificate = tls.make_certificate(tmp_path_factory.mktemp("tls"))
    port = int(s3.options["endpoint_override"].rpartition(":")[2])
    with tls.in_front_of(port, certificate) as secure:
        options = {"scheme": "https", "endpoint_override": f"{tls.HOST}:{secure}"}
        yield Https({**s3.options, **options}, {"SSL_CERT_FILE": str(certificate.file)})


def libparquet() -> str:
    (found,) = Path(pyarrow.get_library_dirs()[0]).glob("libparquet.so.*")
    return str(found)


@pytest.mark.parametrize("order", ["as linked", "libparquet first"])
def test_a_put_is_made_once(https: Https, order: str) -> None:
    environment = https.trusting
    if order == "libparquet first":
        environment = {**environment, "LD_PRELOAD": libparquet()}
    uri = f"s3://{servers.BUCKET}/https/{order}/0.json"
    answers = put(uri, https.options, count=8, size=1000, **environment)
    assert sorted(answers) == ["false"] * 7 + ["true"]
    assert put(uri, https.options, **environment) == ["false"]


@pytest.mark.parametrize("order", ["as linked", "libparquet first"])
def test_a_table_is_written_from_python(https: Https, order: str) -> None:
    uri = f"s3://{servers.BUCKET}/https/{order}/table"
    done = subprocess.run(
        [sys.executable, "-c", WRITE, uri, json.dumps(https.options), order],
        capture_output=True,
        text=True,
        env={**os.environ, **https.trusting},
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr


def test_a_server_that_is_not_trusted_gets_nothing(
    https: Https, s3: servers.Server
) -> None:
    (said,) = put(f"s3://{servers.BUCKET}/https/untrusted/0.json", https.options)
    assert said.startswith("Unavailable: ")
    assert "certificate" in said
    with pytest.raises(hr.errors.NotFound):
        hr.open(f"s3://{servers.BUCKET}/https/untrusted", storage_options=s3.options)


def test_certificates_may_lie_in_a_folder(https: Https, tmp_path: Path) -> None:
    content = Path(https.trusting["SSL_CERT_FILE"]).read_text()
    (tmp_path / "ours.pem").write_text(content)
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    uri = f"s3://{servers.BUCKET}/https/folder/0.json"
    assert put(uri, https.options, SSL_CERT_DIR=str(tmp_path)) == ["true"]
