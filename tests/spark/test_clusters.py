"""Clusters of real processes: executors that are killed, tasks that are run twice."""

from pathlib import Path

import cluster_tables
import pytest
from standalone import standalone

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PROGRAM = Path(cluster_tables.__file__).read_text()
WORKERS = ("127.0.0.1", "127.0.0.2")  # two hosts: on one, Spark overtakes no task


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A master and two workers, of one core each."""
    with standalone(tmp_path_factory.mktemp("cluster"), WORKERS) as url:
        yield url


def test_an_executor_of_a_local_cluster_is_killed(python, tmp_path):
    python(PROGRAM, "local-cluster[2,1,1024]", str(tmp_path), "kill")


def test_an_executor_of_a_cluster_is_killed(python, tmp_path, cluster):
    python(PROGRAM, cluster, str(tmp_path), "kill")


def test_a_task_of_a_cluster_is_overtaken(python, tmp_path, cluster):
    python(PROGRAM, cluster, str(tmp_path), "speculation")
