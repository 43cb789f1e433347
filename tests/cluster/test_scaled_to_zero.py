"""A job that is started on a cluster without nodes waits for them, on what it asked for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from flows.parameters.running import Resources
from flows.stage import run_stage
from tests.support.chaos.stage import CHAOS, Parameters

pytestmark = pytest.mark.slow


@pytest.fixture
def head() -> Iterator[Cluster]:
    """A cluster of a head without CPUs, which this process is connected to."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    ray.init(cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_it_waits_for_nodes_with_what_it_asked_for(head: Cluster, tmp_path: Path) -> None:
    asked = Resources(accelerator="H100", actors=2, gpus_per_actor="1/2")
    params = Parameters(root=str(tmp_path), shards=4, resources=asked)
    with ThreadPoolExecutor(1) as thread:
        job = thread.submit(run_stage, CHAOS, params, params.root)
        head.add_node(num_cpus=2)
        head.add_node(num_cpus=1, num_gpus=1, labels={"ray.io/accelerator-type": "A100"})
        assert not job.done()
        head.add_node(num_cpus=1, num_gpus=1, labels={"ray.io/accelerator-type": "H100"})
        assert job.result().state == "computed"
