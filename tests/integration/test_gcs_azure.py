"""What Google Cloud Storage and Azure have by themselves: credentials, forms of a URI."""

import base64
import datetime
import hashlib
import hmac
from pathlib import Path
from urllib.parse import unquote, urlencode

import headrace as hr
import pyarrow.fs
import pytest
import servers

OTHER_KEY = base64.b64encode(b"0wrong1secret2of3a4test5" * 2).decode()
END_OF_TIME = "2099-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def blobs(azure: servers.Server, trips: Path) -> str:
    return azure.upload(trips, "lakes/of-test-azure")


@pytest.fixture(scope="module")
def objects(gcs: servers.Server, trips: Path) -> str:
    return gcs.upload(trips, "lakes/of-test-gcs")


def refused(kind: type[hr.HeadraceError], uri: str, options: dict[str, str]) -> str:
    with pytest.raises(kind) as caught:
        hr.open(uri, storage_options=options)
    return str(caught.value)


def without(options: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in names}


def account_sas(key: str, permissions: str = "rl") -> str:
    """A shared access signature for the blobs of the account, as Azure's documents have it."""
    fields = {
        "sv": "2020-08-04", "ss": "b", "srt": "sco", "sp": permissions, "se": END_OF_TIME,
        "spr": "https,http",
    }  # fmt: skip
    signing = [
        servers.AZURE_ACCOUNT, permissions, "b", "sco", "", END_OF_TIME, "", "https,http",
        fields["sv"], "",
    ]  # fmt: skip
    text = "\n".join(signing)
    signed = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    return urlencode({**fields, "sig": base64.b64encode(signed).decode()})


def test_a_wrong_account_key_is_denied_and_not_shown(azure, blobs):
    options = {**azure.options, "account_key": OTHER_KEY}
    text = refused(hr.errors.Denied, blobs, options)
    assert text.startswith(blobs)
    assert "check the credentials" in text
    assert OTHER_KEY not in text


def test_a_key_that_is_no_base64_is_refused_and_not_shown(azure, blobs):
    options = {**azure.options, "account_key": "not~base64~hunter2"}
    with pytest.raises((hr.errors.InvalidArgument, hr.errors.Denied)) as caught:
        hr.open(blobs, storage_options=options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("begin", ["", "?"])  # Azure's tools give it in both forms
def test_a_sas_token_opens(azure, blobs, begin):
    options = without(azure.options, "account_key")
    options["sas_token"] = begin + account_sas(servers.AZURE_KEY)
    assert hr.open(blobs, storage_options=options).count_rows() == 2000


def with_account(uri: str) -> str:
    """The long form of a URI."""
    account = f"{servers.BUCKET}@{servers.AZURE_ACCOUNT}.dfs.core.windows.net"
    return uri.replace(servers.BUCKET, account, 1)


def test_a_sas_token_may_stand_in_the_uri(azure, blobs):
    options = without(azure.options, "account_key", "account_name")
    uri = f"{with_account(blobs)}?{account_sas(servers.AZURE_KEY)}"
    dataset = hr.open(uri, storage_options=options)
    assert dataset.count_rows() == 2000
    assert "sig" not in repr(dataset)


@pytest.mark.parametrize("place", ["option", "uri"])
@pytest.mark.parametrize("path", ["", "/lakes", "/lakes/*/*.parquet"])
def test_a_wrong_sas_token_is_denied_and_not_shown(azure, blobs, place, path):
    token = account_sas(OTHER_KEY)
    options = without(azure.options, "account_key")
    uri = with_account(f"abfs://{servers.BUCKET}{path}")
    if place == "option":
        options["sas_token"] = f"?{token}"
    else:
        uri += f"?{token}"
    text = refused(hr.errors.Denied, uri, options)
    assert servers.BUCKET in text
    signature = token.rpartition("sig=")[2]
    assert signature not in text
    assert unquote(signature) not in text


def test_a_sas_token_is_not_shown_when_reading_is_denied(azure, trips):
    uri = with_account(azure.upload(trips, "lakes/sas-of-reading"))
    options = without(azure.options, "account_key")
    token = account_sas(servers.AZURE_KEY, permissions="l")  # lists, and does not read
    text = refused(hr.errors.Denied, f"{uri}?{token}", options)
    assert ".parquet" in text
    assert token.rpartition("sig=")[2] not in text


def test_anonymous_is_denied_what_is_not_public(azure, blobs):
    options = {**without(azure.options, "account_key"), "anonymous": "true"}
    assert refused(hr.errors.Denied, blobs, options).startswith(blobs)


def test_an_account_is_needed(azure, blobs):
    options = without(azure.options, "account_name")
    assert '"account_name"' in refused(hr.errors.InvalidArgument, blobs, options)


def test_the_account_may_stand_in_the_uri(azure, blobs):
    options = without(azure.options, "account_name")
    assert hr.open(with_account(blobs), storage_options=options).count_rows() == 2000


@pytest.mark.parametrize("scheme", ["abfss", "az"])
def test_azure_has_other_schemes(azure, blobs, scheme):
    uri = blobs.replace("abfs", scheme, 1)
    assert hr.open(uri, storage_options=azure.options).count_rows() == 2000


def test_azure_that_is_stopped_is_unavailable(tmp_path, trips):
    server = servers.start_azure(tmp_path)
    try:
        uri = server.upload(trips, "trips")
        dataset = hr.open(uri, storage_options=server.options)
    finally:
        server.stop()
    with pytest.raises(hr.errors.Unavailable) as caught:
        dataset.to_arrow()
    assert str(caught.value).startswith(uri)
    assert servers.AZURE_KEY not in str(caught.value)


def test_what_is_deleted_on_azure_leaves_nothing(azure):
    """Arrow leases a file to delete it, and puts a mark where its folder was.

    Once the file is gone the lease cannot be given back. Of such answers its client missed
    the end, some of twenty, and waited until the server closed the connection.
    """
    path = f"{servers.BUCKET}/vacuumed"
    uri, options = f"az://{path}", {"storage_options": azure.options}
    hr.write({"x": [1]}, uri, **options)
    left = [f"folder-{i}/left.parquet" for i in range(20)]
    for name in left:
        with azure.filesystem.open_output_stream(f"{path}/{name}") as out:
            out.write(b"half")
    now = datetime.timedelta(0)
    while sorted(hr.vacuum(uri, older_than=now, **options).files) != sorted(left):
        pass  # those of this very millisecond are not old
    hr.vacuum(uri, older_than=now, dry_run=False, **options)
    below = pyarrow.fs.FileSelector(path)
    assert {info.base_name for info in azure.filesystem.get_file_info(below)} & {
        name.partition("/")[0] for name in left
    } == set()
    assert hr.open(uri, **options).count_rows() == 1


def test_gcs_has_another_scheme(gcs, objects):
    uri = objects.replace("gs://", "gcs://", 1)
    assert hr.open(uri, storage_options=gcs.options).count_rows() == 2000


def test_gcs_takes_an_access_token_and_does_not_show_it(gcs, objects):
    options = {**without(gcs.options, "anonymous"), "access_token": OTHER_KEY}
    dataset = hr.open(objects, storage_options=options)
    absent = refused(hr.errors.NotFound, f"{objects}/absent", options)
    assert dataset.count_rows() == 2000
    assert OTHER_KEY not in f"{dataset!r} {absent}"


def test_gcs_refuses_a_service_account_that_is_none_and_does_not_show_it(gcs, objects):
    options = {**without(gcs.options, "anonymous"), "retry_time_limit": "1"}
    options["service_account_json"] = '{"private_key": "hunter2"}'
    with pytest.raises(hr.HeadraceError) as caught:
        hr.open(objects, storage_options=options)
    assert caught.value.kind in ("InvalidArgument", "Denied")
    assert "hunter2" not in str(caught.value)


def test_gcs_that_is_stopped_is_unavailable(tmp_path, trips):
    server = servers.start_gcs(tmp_path)
    options = {**server.options, "retry_time_limit": "1"}
    try:
        uri = server.upload(trips, "trips")
        dataset = hr.open(uri, storage_options=options)
    finally:
        server.stop()
    with pytest.raises(hr.errors.Unavailable) as caught:
        dataset.to_arrow()
    assert str(caught.value).startswith(uri)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "", "inf"])
def test_a_time_that_is_none_is_refused(gcs, objects, value):
    options = {**gcs.options, "retry_time_limit": value}
    assert '"retry_time_limit"' in refused(hr.errors.InvalidArgument, objects, options)
