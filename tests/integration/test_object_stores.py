"""What holds for every object store: the lake there is the lake on disk."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import headrace as hr
import numpy as np
import pytest
import servers

ROWS = 2000


@pytest.fixture(params=["s3", "gcs", "azure"])
def server(request: pytest.FixtureRequest) -> servers.Server:
    """Each of the servers in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def uri(server: servers.Server, trips: Path) -> str:
    """The lake `trips` on the server."""
    if not hasattr(server, "trips"):
        server.trips = server.upload(trips, "lakes/trips")
    return server.trips


def opened(server: servers.Server, uri: "str | list[str]", **options) -> hr.Dataset:
    return hr.open(uri, storage_options=server.options, **options)


def ids(dataset: hr.Dataset, **options) -> list[int]:
    """The column `id` in the order of a loader."""
    with dataset.select("id").loader(batch_size=64, **options) as loader:
        return np.concatenate([batch["id"] for batch in loader]).tolist()


def flags(server: servers.Server) -> list[str]:
    return [f"--storage-option={name}={value}" for name, value in server.options.items()]


def test_rows_and_schema_are_those_on_disk(server, uri, trips):
    there, here = opened(server, uri), hr.open(trips)
    assert there.schema == here.schema
    assert there.count_rows() == ROWS
    assert there.to_arrow().equals(here.to_arrow())
    assert set(there.to_arrow()["city"].to_pylist()) == {"Rio", "São Paulo/SP"}


def test_a_filter_finds_the_rows_that_it_finds_on_disk(server, uri, trips):
    text = "year = 2014 and city = 'Rio' and id > 1100"
    there = opened(server, uri).where(text).select("fare", "id")
    assert there.to_arrow().equals(
        hr.open(trips).where(text).select("fare", "id").to_arrow()
    )
    assert there.explain().to_dict()["after"]["files"] == 1


@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("year = 2014", 2),
        ("city = 'São Paulo/SP' and id > 600", 2),
        ("not year = 2013 and city in ('Rio', 'Lima')", 1),
        ("fare > 100", 4),
    ],
)
def test_a_part_is_what_the_filter_finds_on_disk(server, uri, trips, where, files):
    there, whole = opened(server, uri, where=where), hr.open(trips).where(where)
    assert there.to_arrow().equals(whole.to_arrow())
    assert there.explain().to_dict()["before"]["files"] == files
    assert there.fingerprint == hr.open(trips, where=where).fingerprint
    assert pickle.loads(pickle.dumps(there)).fingerprint == there.fingerprint


@pytest.mark.parametrize("rank", [0, 1])
def test_order_is_that_of_the_lake_on_disk(server, uri, trips, rank):
    order = {
        "seed": 5,
        "epoch": 3,
        "shuffle_window_rows": 512,
        "rank": rank,
        "world_size": 2,
    }
    there = ids(opened(server, uri), **order)
    assert there == ids(hr.open(trips), **order)
    assert len(there) == ROWS // 2
    assert there != sorted(there)


def test_fingerprint_is_that_of_the_lake_on_disk(server, uri, trips):
    assert opened(server, uri).fingerprint == hr.open(trips).fingerprint


def test_a_state_goes_on_with_the_lake_on_disk(server, uri, trips):
    with opened(server, uri).select("id").loader(batch_size=64, seed=2) as loader:
        batches = iter(loader)
        seen = [next(batches)["id"] for _ in range(9)]
        state = json.loads(json.dumps(loader.state_dict()))
    with hr.open(trips).select("id").loader(batch_size=64) as loader:
        loader.load_state_dict(state)
        seen += [batch["id"] for batch in loader]
    assert np.concatenate(seen).tolist() == ids(hr.open(trips), seed=2)


@pytest.mark.parametrize(
    ("below", "rows"),
    [
        ("/", ROWS),
        ("/year=2013", ROWS // 2),
        ("/year=2013/city=Rio/part-0.parquet", ROWS // 4),
        ("/*/city=Rio/*.parquet", ROWS // 2),
        ("/**/*.parquet", ROWS),
        ("/year=201[4-9]/**", ROWS // 2),
        ("/year=201?/city=Rio/part-0.parquet", ROWS // 2),
    ],
)
def test_directories_files_and_globs_are_opened(server, uri, trips, below, rows):
    there = opened(server, uri + below)
    assert there.count_rows() == rows
    assert there.to_arrow().equals(hr.open(f"{trips}{below}").to_arrow())


@pytest.mark.parametrize(
    "name",
    ["my table", "São", "a+b", "a&b=c", "a#b", "a%20b", "a%2Fb", "a?b", "a[b]"],
)
def test_a_key_is_taken_as_it_is_written(server, trips, name):
    server.upload(trips / "year=2013/city=Rio", f"keys/{name}")
    dataset = opened(server, f"{server.scheme}://{servers.BUCKET}/keys/{name}")
    assert dataset.count_rows() == ROWS // 4
    assert dataset.select("id").to_arrow()["id"].to_pylist() == list(range(500))


def test_a_hive_partition_with_escapes_is_opened_by_its_key(server, uri):
    key = "/year=2013/city=S%C3%A3o%20Paulo%2FSP"
    assert opened(server, uri + key).count_rows() == ROWS // 4


def test_a_list_is_numbered_as_given(server, uri, trips):
    names = [f"year={year}/city=Rio/part-0.parquet" for year in (2014, 2013)]
    there = opened(server, [f"{uri}/{name}" for name in names])
    assert there.to_arrow()["id"].to_pylist() == [*range(1000, 1500), *range(500)]
    assert ids(there, seed=1) == ids(hr.open([trips / name for name in names]), seed=1)


def test_partition_types_can_be_set(server, uri):
    there = opened(server, uri, partition_types={"year": "int64", "city": "string"})
    assert str(there.schema.field("year").type) == "int64"
    assert there.where("year = 2013").count_rows() == ROWS // 2


@pytest.mark.parametrize(
    "below", ["/absent", "/year=2013/city=Rio/absent.parquet", "/*/*/*.csv"]
)
def test_what_is_not_there_is_not_found_by_its_name(server, uri, below):
    with pytest.raises(hr.errors.NotFound) as caught:
        opened(server, uri + below)
    assert uri + below in str(caught.value)


@pytest.mark.parametrize("path", ["no-such-bucket", "no-such-bucket/trips"])
def test_a_bucket_that_is_not_there_is_not_found(server, path):
    with pytest.raises(hr.errors.NotFound, match="no-such-bucket"):
        opened(server, f"{server.scheme}://{path}")


def test_an_unknown_option_is_refused_with_those_there_are(server, uri):
    options = {**server.options, "endpoint": "value-not-to-be-seen"}
    with pytest.raises(hr.errors.InvalidArgument, match='"endpoint"') as caught:
        hr.open(uri, storage_options=options)
    assert "endpoint_override" in str(caught.value)
    assert "value-not-to-be-seen" not in str(caught.value)


@pytest.mark.parametrize("value", ["yes", ""])
def test_a_flag_that_is_none_is_refused(server, uri, value):
    options = {**server.options, "anonymous": value}
    with pytest.raises(hr.errors.InvalidArgument, match='"anonymous"'):
        hr.open(uri, storage_options=options)


def test_text_of_a_dataset_has_the_uri_and_no_secret(server, uri):
    dataset = opened(server, uri)
    text = f"{dataset!r} {dataset.explain()} {dataset.fingerprint}"
    assert uri in text
    for name, value in server.options.items():
        if name.endswith("_key"):
            assert value not in text


def test_a_pickle_is_of_the_same_version(server, uri):
    dataset = opened(server, uri).where("id < 700").select("id")
    again = pickle.loads(pickle.dumps(dataset))
    assert again.fingerprint == dataset.fingerprint
    assert again.to_arrow().equals(dataset.to_arrow())


def test_a_changed_object_is_a_conflict(server, trips):
    uri = server.upload(trips / "year=2013", f"lakes/changed-{server.scheme}")
    dataset = opened(server, uri)
    path = f"{servers.BUCKET}/lakes/changed-{server.scheme}/city=Rio/part-0.parquet"
    content = (trips / "year=2014/city=Rio/part-0.parquet").read_bytes()
    with server.filesystem.open_output_stream(path) as stream:
        stream.write(content[: len(content) // 2])
    with pytest.raises(hr.errors.Conflict, match=r"part-0\.parquet"):
        dataset.to_arrow()


def test_a_removed_object_is_not_found(server, trips):
    uri = server.upload(trips / "year=2013", f"lakes/removed-{server.scheme}")
    dataset = opened(server, uri)
    server.filesystem.delete_file(
        f"{servers.BUCKET}/lakes/removed-{server.scheme}/city=Rio/part-0.parquet"
    )
    with pytest.raises(hr.errors.NotFound, match=r"part-0\.parquet"):
        dataset.to_arrow()


def test_inspect_shows_the_table(server, uri, run):
    info = json.loads(run("inspect", uri, "--json", *flags(server)).stdout)
    assert (info["rows"], info["files"], info["row_groups"]) == (ROWS, 4, 20)
    assert info["partition_columns"] == ["year", "city"]


def test_head_prints_rows(server, uri, run):
    done = run("head", uri, "-n", 2, "--json", "--where", "year = 2014 and id >= 1500",
               "--select", "id,city", *flags(server))  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows == [{"id": i, "city": "São Paulo/SP"} for i in (1500, 1501)]


def test_verify_reads_every_page(server, uri, run):
    report = json.loads(run("verify", uri, "--json", *flags(server)).stdout)
    assert report["defects"] == []
    assert report["pages"] == report["pages_with_checksum"] > 0


def test_bench_delivers_every_row(server, uri, run):
    done = run("bench", uri, "--shuffle", "--epochs", 2, "--json", *flags(server))
    assert json.loads(done.stdout)["rows"] == 2 * ROWS


def test_the_command_line_says_not_found_in_one_line(server, uri, run):
    done = run("inspect", f"{uri}/absent", *flags(server), code=3)
    assert done.stderr.startswith(f"headrace: NotFound: {uri}/absent")
    assert done.stderr.count("\n") == 1


# A loader that is still in the middle of its pass, and one that is closed.
LEAVES = """
import json, sys
import headrace as hr
uri, options, how = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
loader = hr.open(uri, storage_options=options).select("id").loader(batch_size=64)
print(len(next(iter(loader))["id"]))
if how == "closed":
    loader.close()
if how == "raises":
    raise SystemExit(7)
"""


@pytest.mark.parametrize(("how", "code"), [("closed", 0), ("open", 0), ("raises", 7)])
def test_a_process_that_has_read_ends_in_order(server, uri, how, code):
    done = subprocess.run(
        [sys.executable, "-c", LEAVES, uri, json.dumps(server.options), how],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (code, "64\n"), done.stderr
    assert done.stderr == ""


def test_the_store_of_a_run_is_whole_objects(server, uri):
    """What estimators keep: put over one another, read, listed, removed."""
    from headrace.estimator import Store
    from headrace.estimator._store import RunStore

    folder, query, more = uri.partition("?")
    place = f"{folder}-runs{query}{more}"
    run = RunStore(Store(place, server.options), "a-run")
    assert run.record() is None and run.read("checkpoint") is None
    run.put("checkpoint", b"one" * 100_000)
    run.put("checkpoint", b"two")
    run.put_record({"state": "training"})
    again = pickle.loads(pickle.dumps(run))
    assert again.read("checkpoint") == b"two"
    assert again.record() == {"format": 1, "state": "training"}
    again.remove("checkpoint")
    again.remove("checkpoint")
    assert run.read("checkpoint") is None
    run.remove("run.json")
    with run.held():
        with pytest.raises(hr.errors.Conflict, match=r"runs/a-run is in use by process"):
            again.held().__enter__()
        run._lease.renew()
        (lease,) = (name for name, _ in run._open().list("runs/a-run"))
        assert lease.startswith("runs/a-run/leases/")
        # Another host's, as young as the storage's clock says.
        theirs = {**json.loads(run._open().read(lease)), "host": "elsewhere"}
        run._open().put("runs/a-run/leases/0.json", json.dumps(theirs).encode())
        with pytest.raises(hr.errors.Conflict, match="of host elsewhere"):
            run._lease.renew()
    run.remove("leases/0.json")
    with again.held():
        pass
    assert run._open().list("runs/a-run") == []
