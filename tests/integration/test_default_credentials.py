"""Commits by credentials that nobody gave: those that a machine, a login or the environment has.

Who issues tokens, and who takes objects, is a server of the test's own, which notes what it is
asked: the emulators do not look at tokens, or want a certificate for it.
"""

import base64
import json
import os
import ssl
import threading
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import headrace as hr
import pyarrow as pa
import pytest
import servers
import tls
from test_gcs_azure import without
from test_put_if_absent import put

TOKEN = "ya29.hush-hush"
VARIABLES = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
)


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def fields(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body))


class Stand(ThreadingHTTPServer):
    """Issues tokens below /token, and else takes each object once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((servers.HOST, 0), Answering)
        self.asked: list[Asked] = []
        self.objects: set[str] = set()
        self.token = TOKEN
        self.refusal: tuple[int, str] | None = None

    @property
    def at(self) -> str:
        return f"{servers.HOST}:{self.server_address[1]}"

    @property
    def tokens(self) -> list[Asked]:
        return [asked for asked in self.asked if "token" in asked.path]

    @property
    def puts(self) -> list[Asked]:
        """Without what Arrow asks to delete the probe."""
        return [
            asked
            for asked in self.asked
            if asked.method == "PUT" or "uploadType" in asked.path
        ]


class Answering(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Stand

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size).decode()
        asked = Asked(self.command, self.path, dict(self.headers), body)
        self.server.asked.append(asked)
        status, text = 200, "{}"
        if "token" in self.path:
            machine = "/metadata/" in self.path  # Azure's has texts
            hour = "3600" if machine else 3600
            answer = {"token_type": "Bearer", "expires_in": hour}
            text = json.dumps({**answer, "access_token": self.server.token})
            status, text = self.server.refusal or (status, text)
        else:
            name = body.splitlines()[3] if "uploadType" in self.path else self.path
            status = 412 if name in self.server.objects else 201
            self.server.objects.add(name)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST  # noqa: N815
    do_PUT = do_POST  # noqa: N815

    def do_DELETE(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Keep the output clean."""


@pytest.fixture
def stand(tmp_path, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    command(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Stand() as stand:
        threading.Thread(target=stand.serve_forever, daemon=True).start()
        yield stand
        stand.shutdown()


def command(folder, body: str) -> None:
    """Make an `az` of this body."""
    (folder / "az").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "az").chmod(0o755)


def put_google(stand: Stand, name: str, **environment: str) -> list[str]:
    options = {"endpoint_override": stand.at, "scheme": "http", "retry_time_limit": "1"}
    return put(f"gs://bucket/{name}", options, **environment)


def put_azure(stand: Stand, name: str, **environment: str) -> list[str]:
    options = {"endpoint_override": stand.at, "scheme": "http", "account_name": "us"}
    return put(f"abfs://box/{name}", options, **environment)


def login(stand: Stand, **more: str) -> str:
    """Return what `gcloud auth application-default login` leaves."""
    user = {
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "s&cret",
        "refresh_token": "1//again",
        "token_uri": f"http://{stand.at}/token",
    }
    return json.dumps({**user, **more})


def assert_borne(stand: Stand) -> None:
    """Assert that the object, and the two puts of the probe before it, came with the token."""
    assert len(stand.puts) == 3
    assert {asked.headers["Authorization"] for asked in stand.puts} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("place", ["variable", "login"])
def test_google_takes_who_has_logged_in(stand, tmp_path, place):
    folder = tmp_path / ".config/gcloud"
    folder.mkdir(parents=True)
    file = folder / "application_default_credentials.json"
    environment = {}
    if place == "variable":
        file = tmp_path / "key.json"
        environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(file)
    file.write_text(login(stand))
    assert put_google(stand, "x", **environment) == ["true"]
    assert_borne(stand)
    assert stand.tokens[0].fields == {
        "grant_type": "refresh_token",
        "client_id": "id",
        "client_secret": "s&cret",
        "refresh_token": "1//again",
    }


def test_google_takes_the_service_account_of_the_machine(stand):
    assert put_google(stand, "x", GCE_METADATA_ROOT=stand.at) == ["true"]
    assert_borne(stand)
    assert stand.tokens[0].headers["Metadata-Flavor"] == "Google"
    assert stand.tokens[0].path.endswith("/instance/service-accounts/default/token")


def test_a_kind_of_google_credentials_that_cannot_commit_is_named(stand, tmp_path):
    file = tmp_path / "key.json"
    file.write_text(login(stand, type="external_account"))
    (said,) = put_google(stand, "x", GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert said.startswith("Unsupported: gs://bucket/x: ")
    assert f'{file} has credentials of the type "external_account"' in said
    assert "again" not in said
    assert stand.asked == []


def test_a_refusal_of_the_issuer_is_denied_in_its_words(stand, tmp_path):
    file = tmp_path / "key.json"
    file.write_text(login(stand))
    said = {"error": "invalid_grant", "error_description": "Bad\nRequest"}
    stand.refusal = (400, json.dumps(said))
    (said,) = put_google(stand, "x", GOOGLE_APPLICATION_CREDENTIALS=str(file))
    assert said.startswith("Denied: gs://bucket/x: ")
    assert "HTTP status 400 (invalid_grant: Bad Request)" in said
    assert "again" not in said
    assert "s&cret" not in said


@pytest.mark.parametrize("scheme", ["gs", "abfs"])
def test_a_token_that_nobody_gave_is_not_sent_in_the_clear(stand, tmp_path, scheme):
    file = tmp_path / "key.json"
    file.write_text(login(stand))
    options = {"endpoint_override": "storage.invalid:1", "scheme": "http"}
    if scheme == "abfs":
        options["account_name"] = "us"
    (said,) = put(
        f"{scheme}://bucket/x", options, GOOGLE_APPLICATION_CREDENTIALS=str(file)
    )
    assert said.startswith(f"Unsupported: {scheme}://bucket/x: ")
    assert "are not sent to storage.invalid:1 in the clear" in said
    assert stand.asked == []


def test_a_table_is_written_to_google_by_a_login(stand, tmp_path, gcs, monkeypatch):
    file = tmp_path / "key.json"
    file.write_text(login(stand))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    uri = f"gs://{servers.BUCKET}/login"
    options = without(gcs.options, "anonymous")
    for part in range(2):
        table = pa.table({"x": [part]})
        hr.write(table, uri, mode="append", storage_options=options)
    dataset = hr.open(uri, storage_options=options)
    assert dataset.version == 1
    assert sorted(dataset.to_arrow()["x"].to_pylist()) == [0, 1]
    assert len(stand.tokens) > 0


@pytest.mark.parametrize("kind", ["secret", "workload"])
def test_azure_takes_a_service_principal(stand, tmp_path, kind):
    environment = {
        "AZURE_TENANT_ID": "ten ant",
        "AZURE_CLIENT_ID": "id",
        "AZURE_AUTHORITY_HOST": f"http://{stand.at}/",
    }
    expected = {
        "grant_type": "client_credentials",
        "client_id": "id",
        "scope": "https://storage.azure.com/.default",
    }
    if kind == "secret":
        environment["AZURE_CLIENT_SECRET"] = expected["client_secret"] = "a+b=c"
    else:
        (tmp_path / "assertion").write_text("jwt")
        environment["AZURE_FEDERATED_TOKEN_FILE"] = str(tmp_path / "assertion")
        expected["client_assertion"] = "jwt"
        expected["client_assertion_type"] = (
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        )
    assert put_azure(stand, "x", **environment) == ["true"]
    assert_borne(stand)
    assert stand.tokens[0].path == "/ten%20ant/oauth2/v2.0/token"
    assert stand.tokens[0].fields == expected


def test_azure_takes_the_identity_of_the_machine(stand):
    host = f"http://{stand.at}"
    said = put_azure(stand, "x", AZURE_POD_IDENTITY_AUTHORITY_HOST=host)
    assert said == ["true"]
    assert_borne(stand)
    assert stand.tokens[0].headers["Metadata"] == "true"
    query = urllib.parse.urlsplit(stand.tokens[0].path).query
    assert dict(urllib.parse.parse_qsl(query)) == {
        "api-version": "2018-02-01",
        "resource": "https://storage.azure.com/",
    }


def test_azure_takes_the_identity_of_an_app_service(stand):
    said = put_azure(
        stand,
        "x",
        IDENTITY_ENDPOINT=f"http://{stand.at}/msi/token",
        IDENTITY_HEADER="me",
        AZURE_CLIENT_ID="id",
    )
    assert said == ["true"]
    assert_borne(stand)
    assert stand.tokens[0].headers["X-IDENTITY-HEADER"] == "me"
    assert stand.tokens[0].path.endswith("&client_id=id")


def test_azure_takes_who_has_logged_in(stand, tmp_path):
    answer = json.dumps({"accessToken": TOKEN, "expires_on": 4_000_000_000})
    command(tmp_path, f"echo \"$@\" >>{tmp_path}/asked; echo '{answer}'")
    assert put_azure(stand, "x") == ["true"]
    assert_borne(stand)
    assert stand.tokens == []
    assert (tmp_path / "asked").read_text().splitlines() == [
        "account get-access-token --output json --scope https://storage.azure.com/.default"
    ]


def test_without_any_credentials_azure_names_what_was_tried(stand):
    stand.refusal = (400, json.dumps({"error": "invalid_request"}))
    host = f"http://{stand.at}"
    (said,) = put_azure(stand, "x", AZURE_POD_IDENTITY_AUTHORITY_HOST=host)
    assert said.startswith("Denied: ")
    assert "HTTP status 400 (invalid_request)" in said
    assert "`az account get-access-token` answered without a token" in said


def test_a_certificate_of_azure_is_refused_by_name(stand):
    (said,) = put_azure(
        stand,
        "x",
        AZURE_TENANT_ID="tenant",
        AZURE_CLIENT_ID="id",
        AZURE_CLIENT_CERTIFICATE_PATH="/none.pem",
    )
    assert said.startswith("Unsupported: ")
    assert "expected AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE" in said
    assert stand.asked == []


def token_of_azure(lasts_s: int) -> str:
    """Return what Azurite takes for a token of Azure's: it looks at all but the signature."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + lasts_s,
    }
    parts = [json.dumps({"alg": "RS256"}), json.dumps(claims), "signature"]
    coded = [base64.urlsafe_b64encode(part.encode()).decode() for part in parts]
    return ".".join(part.rstrip("=") for part in coded)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_azurite_takes_the_token(stand, tmp_path):
    certificate = tls.make_certificate(tmp_path)
    process, port = servers.start_azurite(
        tmp_path, "--oauth", "basic", "--cert", certificate.file, "--key", certificate.key
    )
    stand.token = token_of_azure(lasts_s=3600)
    account = f"{servers.HOST}:{port}/{servers.AZURE_ACCOUNT}"
    container = urllib.request.Request(
        f"https://{account}/box?restype=container",
        method="PUT",
        headers={"Authorization": f"Bearer {stand.token}", "x-ms-version": "2020-08-04"},
    )
    trusting = ssl.create_default_context(cafile=certificate.file)

    def ready() -> None:
        urllib.request.urlopen(container, context=trusting, timeout=5).close()

    def said() -> list[str]:
        return put(
            "abfs://box/x",
            {
                "endpoint_override": f"{servers.HOST}:{port}",
                "account_name": servers.AZURE_ACCOUNT,
            },
            AZURE_TENANT_ID="tenant",
            AZURE_CLIENT_ID="id",
            AZURE_CLIENT_SECRET="secret",
            AZURE_AUTHORITY_HOST=f"http://{stand.at}",
            SSL_CERT_FILE=str(certificate.file),
        )

    try:
        servers.wait_for(ready, process, tmp_path)
        assert said() == ["true"]
        assert said() == ["false"]
        stand.token = token_of_azure(lasts_s=-10)
        (denied,) = said()
    finally:
        process.kill()
        process.wait()
    assert denied.startswith("Denied: ")
    assert stand.token not in denied
