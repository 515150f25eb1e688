"""S3 by itself: credentials, rights, a server that stops or falls silent, a process' end."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import headrace as hr
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import servers

WRONG = "0wrong1secret2of3a4test5not6to7be8seen9"


@pytest.fixture(scope="module")
def uri(s3: servers.Server, trips: Path) -> str:
    return s3.upload(trips, "lakes/of-test-s3")


@pytest.fixture
def place(tmp_path: Path) -> servers.S3Place:
    return servers.S3Place(tmp_path / "s3")


@pytest.fixture
def mortal(place: servers.S3Place) -> Iterator[servers.Server]:
    """A server of the test's own, to stop."""
    server = servers.start_s3(place)
    yield server
    server.stop()


def without_keys(server: servers.Server) -> dict[str, str]:
    return {name: value for name, value in server.options.items() if "_key" not in name}


def flags_of(options: dict[str, str]) -> list[str]:
    return [f"--storage-option={name}={value}" for name, value in options.items()]


def refused(kind: type[hr.HeadraceError], call: Callable[[], object]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


# Credentials


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
def test_a_wrong_key_is_denied_and_not_shown(s3, uri, name):
    options = {**s3.options, name: WRONG}
    text = refused(hr.errors.Denied, lambda: hr.open(uri, storage_options=options))
    assert uri in text
    assert "check the credentials" in text
    assert WRONG not in text
    assert options["secret_key"] not in text
    assert options["access_key"] not in text


def test_a_wrong_key_is_denied_on_the_command_line_and_not_shown(s3, uri, run):
    options = {**s3.options, "secret_key": WRONG}
    flags = flags_of(options)
    for command in ("inspect", "head", "verify", "bench"):
        said = run(command, uri, *flags, code=4).stderr
        assert said.startswith(f"headrace: Denied: {uri}: ")
        assert said.count("\n") == 1
        assert WRONG not in said


def test_a_wrong_session_token_is_not_shown(s3, uri):
    options = {**s3.options, "session_token": WRONG, "secret_key": WRONG}
    text = refused(hr.errors.Denied, lambda: hr.open(uri, storage_options=options))
    assert WRONG not in text


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
def test_half_a_key_is_refused(s3, uri, name):
    options = {key: value for key, value in s3.options.items() if key != name}
    text = refused(
        hr.errors.InvalidArgument, lambda: hr.open(uri, storage_options=options)
    )
    assert "access_key" in text
    assert "secret_key" in text
    assert all(value not in text for key, value in options.items() if "_key" in key)


def test_anonymous_reads_what_is_public(s3, trips):
    public = s3.upload(trips / "year=2013", "trips", bucket=servers.PUBLIC_BUCKET)
    options = {**without_keys(s3), "anonymous": "true"}
    assert hr.open(public, storage_options=options).count_rows() == 1000


def test_anonymous_is_denied_what_is_not_public(s3, uri):
    options = {**without_keys(s3), "anonymous": "true"}
    assert uri in refused(hr.errors.Denied, lambda: hr.open(uri, storage_options=options))


def test_a_key_in_the_uri_opens_and_is_not_shown(s3, uri):
    access, secret = s3.options["access_key"], s3.options["secret_key"]
    with_key = uri.replace("s3://", f"s3://{quote(access)}:{quote(secret)}@")
    dataset = hr.open(with_key, storage_options=without_keys(s3))
    assert dataset.count_rows() == 2000
    absent = refused(
        hr.errors.NotFound,
        lambda: hr.open(f"{with_key}/absent", storage_options=without_keys(s3)),
    )
    text = f"{dataset!r} {dataset.explain()} {absent}"
    assert secret not in text
    assert uri in text


@pytest.mark.parametrize("part", ["secret", "a/secret+with=signs"])
def test_a_wrong_key_in_the_uri_is_denied_and_not_shown(s3, uri, part):
    secret = f"{part}{WRONG}"
    with_key = uri.replace("s3://", f"s3://AKTESTS:{quote(secret, safe='')}@")
    text = refused(
        hr.errors.Denied, lambda: hr.open(with_key, storage_options=without_keys(s3))
    )
    assert uri in text
    assert WRONG not in text


def test_endpoint_and_region_may_stand_in_the_uri(s3, uri):
    options = {name: value for name, value in s3.options.items() if "_key" in name}
    query = f"?endpoint_override={s3.options['endpoint_override']}&scheme=http&region=us-east-1"
    assert hr.open(f"{uri}{query}", storage_options=options).count_rows() == 2000


def chain(**more: str) -> dict[str, str]:
    """An environment without credentials, files of them included."""
    nowhere = "/dev/null"
    return {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONFIG_FILE": nowhere,
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        **more,
    }


def test_keys_come_from_the_environment(s3, uri, run):
    environment = chain(
        AWS_ACCESS_KEY_ID=s3.options["access_key"],
        AWS_SECRET_ACCESS_KEY=s3.options["secret_key"],
    )
    flags = flags_of(without_keys(s3))
    done = run("inspect", uri, "--json", *flags, **environment)
    assert json.loads(done.stdout)["rows"] == 2000


@pytest.mark.parametrize("profile", ["default", "training"])
def test_keys_come_from_the_file_of_credentials(s3, uri, run, tmp_path, profile):
    file = tmp_path / "credentials"
    file.write_text(
        f"[{profile}]\naws_access_key_id = {s3.options['access_key']}\n"
        f"aws_secret_access_key = {s3.options['secret_key']}\n"
    )
    environment = chain(AWS_SHARED_CREDENTIALS_FILE=str(file), AWS_PROFILE=profile)
    flags = flags_of(without_keys(s3))
    done = run("inspect", uri, "--json", *flags, **environment)
    assert json.loads(done.stdout)["rows"] == 2000


def test_no_credentials_at_all_are_denied(s3, uri, run):
    flags = flags_of(without_keys(s3))
    said = run("inspect", uri, *flags, code=4, **chain()).stderr
    assert said.startswith(f"headrace: Denied: {uri}: ")


def test_options_win_over_the_environment(s3, uri, run):
    environment = chain(AWS_ACCESS_KEY_ID="AKOTHER", AWS_SECRET_ACCESS_KEY=WRONG)
    flags = flags_of(s3.options)
    done = run("inspect", uri, "--json", *flags, **environment)
    assert json.loads(done.stdout)["rows"] == 2000


def test_the_endpoint_comes_from_the_environment(s3, uri, run):
    environment = chain(
        AWS_ACCESS_KEY_ID=s3.options["access_key"],
        AWS_SECRET_ACCESS_KEY=s3.options["secret_key"],
        AWS_ENDPOINT_URL=f"http://{s3.options['endpoint_override']}",
        AWS_DEFAULT_REGION="us-east-1",
    )
    done = run("inspect", uri, "--json", **environment)
    assert json.loads(done.stdout)["rows"] == 2000


# A server that goes away


def big_lake(server: servers.Server, folder: Path) -> str:
    """More bytes than a loader within BUDGET can have read ahead."""
    random = np.random.default_rng(7)
    table = pa.table({"id": np.arange(ROWS), "x": random.integers(0, 2**63, ROWS)})
    (folder / "big").mkdir()
    for part in range(4):
        rows = table.slice(part * ROWS // 4, ROWS // 4)
        pq.write_table(
            rows, folder / f"big/{part}.parquet", row_group_size=1 << 14,
            compression="none", use_dictionary=False,
        )  # fmt: skip
    return server.upload(folder / "big", "big")


ROWS = 1 << 21
SMALL = {"batch_size": 4096, "seed": 3, "shuffle_window_rows": 1 << 14, "streams": 4}
BUDGET = 8 << 20


def test_a_loader_whose_server_stops_is_unavailable_and_goes_on_later(
    mortal, place, tmp_path
):
    uri = big_lake(mortal, tmp_path)
    dataset = hr.open(uri, storage_options=mortal.options)
    seen = []
    with dataset.loader(**SMALL, memory_budget=BUDGET) as loader:
        batches = iter(loader)
        seen.append(next(batches)["id"])
        mortal.stop()
        text = refused(
            hr.errors.Unavailable,
            lambda: seen.extend(batch["id"] for batch in batches),
        )
        state = loader.state_dict()
    assert text.startswith(uri)
    assert ".parquet: " in text
    assert "try again" in text
    assert mortal.options["secret_key"] not in text

    again = servers.start_s3(place)
    try:
        with dataset.loader(batch_size=4096) as loader:
            loader.load_state_dict(state)
            seen += [batch["id"] for batch in loader]
    finally:
        again.stop()
    with hr.open(tmp_path / "big").loader(**SMALL) as loader:
        expected = [batch["id"] for batch in loader]
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(expected))


def test_reading_from_a_stopped_server_is_unavailable(mortal, trips):
    uri = mortal.upload(trips, "trips")
    dataset = hr.open(uri, storage_options=mortal.options)
    mortal.stop()
    text = refused(hr.errors.Unavailable, dataset.to_arrow)
    assert text.startswith(uri)
    assert "try again" in text
    assert mortal.options["secret_key"] not in text


@pytest.mark.timeout(30)
def test_a_silent_server_is_unavailable_when_its_time_is_over(mortal, trips):
    uri = mortal.upload(trips / "year=2013/city=Rio", "trips")
    options = {**mortal.options, "request_timeout": "0.5", "connect_timeout": "0.5"}
    dataset = hr.open(uri, storage_options=options)
    with mortal.frozen():
        assert refused(hr.errors.Unavailable, dataset.to_arrow).startswith(uri)
    assert dataset.count_rows() == dataset.to_arrow().num_rows == 500


@pytest.mark.parametrize("name", ["connect_timeout", "request_timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "", "nan", "inf", "1e300"])
def test_a_time_that_is_none_is_refused(s3, uri, name, value):
    options = {**s3.options, name: value}
    text = refused(
        hr.errors.InvalidArgument, lambda: hr.open(uri, storage_options=options)
    )
    assert f'"{name}"' in text


# A process' end

DIES = """
import json, sys
import headrace as hr
uri, options = sys.argv[1], json.loads(sys.argv[2])
loader = hr.open(uri, storage_options=options).select("id").loader(batch_size=64)
batches = iter(loader)
print(len(next(batches)["id"]), flush=True)
sys.stdin.readline()  # the server stops meanwhile
try:
    hr.open(uri, storage_options=options)
except hr.errors.Unavailable as error:
    print(error.kind)
"""


def test_a_process_whose_server_has_gone_ends_in_order(mortal, trips):
    uri = mortal.upload(trips, "trips")
    command = [sys.executable, "-c", DIES, uri, json.dumps(mortal.options)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        try:
            assert process.stdout.readline() == "64\n"
            mortal.stop()
            out, error = process.communicate("\n", timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (0, "Unavailable\n", "")


def test_pyarrow_and_headrace_end_in_one_process_in_order(s3, uri):
    code = """
import json, sys
import pyarrow.fs
import headrace as hr
uri, options = sys.argv[1], json.loads(sys.argv[2])
theirs = pyarrow.fs.S3FileSystem(**options)
print(theirs.get_file_info(uri.removeprefix("s3://")).type.name)
print(hr.open(uri, storage_options=options).to_arrow().num_rows)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, uri, json.dumps(s3.options)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Directory\n2000\n", "")
