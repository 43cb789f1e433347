"""``teach`` on Ray nodes with files and addresses of their own, one of which dies in the middle of it."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.parameters.latents import TeachParameters
from flows.stage import run_stage
from flows.teach import TEACH
from storage.store.verification import verify
from tests.support.clusters import BUCKET, Cluster, start_cluster
from tests.support.nodes import can_make_nodes
from tests.support.stores import read_content

pytestmark = pytest.mark.skipif(not can_make_nodes(), reason="makes Linux namespaces: needs root and iproute2")

# Without Prefect: its temporary server would take as long to start as all that is tested here.
RUN_TEACH = """
import sys
from flows.parameters.latents import TeachParameters
from flows.stage import run_stage
from flows.teach import TEACH
params = TeachParameters.model_validate_json(sys.argv[1])
print(run_stage(TEACH, params, params.root).state, flush=True)
"""


@pytest.fixture
def inputs(tiny_teacher: Path, tmp_path: Path) -> Path:
    """A folder that every node has a copy of."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "captions.txt").write_text("".join(f"thing {number}\n" for number in range(40)))
    return folder


@pytest.fixture
def cluster(inputs: Path, tiny_teacher: Path, tmp_path: Path) -> Iterator[Cluster]:
    with start_cluster(tmp_path / "cluster", [inputs, tiny_teacher]) as cluster:
        yield cluster


def parameters(inputs: Path, teacher: Path, root: str) -> TeachParameters:
    return TeachParameters(captions=str(inputs / "captions.txt"), teacher=str(teacher), root=root, shard_rows=2)


def count_commits(store: Path) -> int:
    return len(list(store.glob("commits/0*.json")))


def test_a_node_that_dies_changes_no_byte(cluster: Cluster, inputs: Path, tiny_teacher: Path, tmp_path: Path) -> None:
    dying, _ = cluster.add_worker(), cluster.add_worker()
    here = parameters(inputs, tiny_teacher, str(tmp_path / "runs"))
    there = here.model_copy(update={"root": f"{BUCKET}/runs"})
    driver = cluster.drive(sys.executable, "-c", RUN_TEACH, there.model_dump_json())
    stranger = cluster.drive("true", RAY_AUTH_TOKEN="f" * 50)
    store = cluster.bucket / "runs/teach" / TEACH.identify(here).identity.fingerprint
    while not 2 <= count_commits(store) < 20 or not dying.find_processes("ray::MapWorker"):
        assert driver.poll() is None, cluster.read_logs()
        time.sleep(0.05)
    dying.kill()
    assert count_commits(store) < 20
    assert driver.wait() == 0, cluster.read_logs()
    assert read_content(store) == read_content(run_stage(TEACH, here, here.root).url)
    assert verify(str(store)) == []
    assert stranger.wait() != 0, "a driver with another token joins"
    assert "InvalidAuthToken" in cluster.read_logs()
