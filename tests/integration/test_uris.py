"""URIs and options that need no object store: local ones, and those that cannot be served."""

import re
from pathlib import Path

import headrace as hr
import pytest


def refused(kind: type[hr.HeadraceError], uri: str, options: dict[str, str]) -> str:
    with pytest.raises(kind) as caught:
        hr.open(uri, storage_options=options)
    return str(caught.value)


def test_a_file_uri_is_the_path(trips: Path) -> None:
    there, here = hr.open(trips.as_uri()), hr.open(trips)
    assert there.fingerprint == here.fingerprint
    assert there.to_arrow().equals(here.to_arrow())


def test_the_case_of_a_scheme_does_not_matter(trips: Path) -> None:
    assert hr.open(f"FILE://{trips}").count_rows() == 2000


@pytest.mark.parametrize("name", ["my table", "a#b", "a%20b", "a?b", "a[b]", "São"])
def test_a_file_uri_of_any_name_is_the_path(
    tmp_path: Path, trips: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    source = trips / "year=2013/city=Rio/part-0.parquet"
    (folder / "part-0.parquet").write_bytes(source.read_bytes())
    assert hr.open(folder.as_uri()).count_rows() == 500
    assert hr.open(folder).count_rows() == 500


@pytest.mark.parametrize(
    "glob", ["*/city=Rio/*.parquet", "year=201?/city=Rio/*", "year=201[34]/city=Rio/**"]
)
def test_a_file_uri_may_be_a_glob(trips: Path, glob: str) -> None:
    assert hr.open(f"file://{trips}/{glob}").count_rows() == 1000


def test_the_command_line_takes_a_file_uri(trips: Path, run) -> None:
    text = run("inspect", trips.as_uri()).stdout
    assert "partitioned by  year, city" in text


def test_local_files_have_no_storage_options(trips: Path) -> None:
    for uri in (str(trips), trips.as_uri()):
        text = refused(hr.errors.InvalidArgument, uri, {"region": "eu-central-1"})
        assert '"region"' in text
        assert "eu-central-1" not in text


def test_an_unknown_scheme_is_refused_with_those_there_are() -> None:
    text = refused(hr.errors.InvalidArgument, "ftp://user:hunter2@host/x?key=hunter2", {})
    assert all(scheme in text for scheme in ("ftp", "file", "s3", "gs", "abfs", "hdfs"))
    assert "hunter2" not in text


OPTIONS = {"S3": "s3://bucket/x", "GCS": "gs://bucket/x", "Azure": "abfs://bucket/x", "HDFS": "hdfs://node/x"}  # fmt: skip


@pytest.mark.parametrize("system", OPTIONS)
def test_the_guide_has_every_option_of_a_system(system: str) -> None:
    text = refused(hr.errors.InvalidArgument, OPTIONS[system], {"nonsense": ""})
    known = set(re.findall(r"\w+", text.partition("expected one of ")[2]))
    guide = (Path(__file__).parents[2] / "docs/guide/storage.md").read_text()
    rows = re.findall(r"^\| (`.*) \| (.*) \| .* \|$", guide, re.MULTILINE)
    documented = {
        name
        for names, systems in rows
        if system in systems.split(", ")
        for name in re.findall(r"`(\w+)`", names)
    }
    assert documented == known != set()


@pytest.fixture
def without_hadoop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arrow looks for libhdfs in a folder that has none, and nowhere of the machine's."""
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    monkeypatch.setenv("ARROW_LIBHDFS_DIR", str(tmp_path))


HDFS = "hdfs://namenode:8020/lake/trips"


@pytest.mark.usefixtures("without_hadoop")
def test_hdfs_without_libhdfs_says_what_to_install() -> None:
    text = refused(hr.errors.Unsupported, HDFS, {})
    assert text.startswith(HDFS)
    assert all(
        word in text
        for word in (
            "libhdfs",
            "JAVA_HOME",
            "HADOOP_HOME",
            "ARROW_LIBHDFS_DIR",
            "CLASSPATH",
        )
    )


@pytest.mark.usefixtures("without_hadoop")
def test_hdfs_without_libhdfs_is_one_line_on_the_command_line(run) -> None:
    said = run("inspect", HDFS, code=7).stderr
    assert said.startswith(f"headrace: Unsupported: {HDFS}: ")
    assert said.count("\n") == 1


def test_hdfs_refuses_options_that_it_does_not_have() -> None:
    text = refused(hr.errors.InvalidArgument, HDFS, {"access_key": "hunter2"})
    assert "kerb_ticket" in text
    assert "user" in text
    assert "hunter2" not in text


def test_a_list_of_two_systems_is_refused(s3, trips: Path) -> None:
    uri = s3.upload(trips, "lakes/of-test-uris")
    key = f"s3://{s3.options['access_key']}:{s3.options['secret_key']}@"
    query = f"?endpoint_override={s3.options['endpoint_override']}&scheme=http&region=us-east-1"
    with pytest.raises(hr.errors.InvalidArgument, match=str(trips)) as caught:
        hr.open([uri.replace("s3://", key) + query, str(trips)])
    assert s3.options["secret_key"] not in str(caught.value)
