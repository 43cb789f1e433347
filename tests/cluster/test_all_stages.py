"""All stages of the demo on Ray nodes with files of their own: one dies, the driver is cancelled, another goes on."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from storage.store.verification import verify
from tests.support.clusters import BUCKET, Cluster, start_cluster
from tests.support.nodes import CODE, Node, can_make_nodes, read_command
from tests.support.stores import read_content

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not can_make_nodes(), reason="makes Linux namespaces: needs root and iproute2"),
]
SIZE = 64  # pixels per side: half of the demo's, a quarter of its computing
DEMO = CODE / "deploy/demo"
TRAINING = {"batch_size": 4, "lr_warmup_steps": 1, "checkpointing_steps": 10, "workers": 1}
CONFIG = {
    "teacher": f"{BUCKET}/teacher",
    "images": str(DEMO / "images/train.parquet"),
    "captions": str(DEMO / "images/captions.txt"),
    "heldout_images": str(DEMO / "images/heldout.parquet"),
    "heldout_captions": str(DEMO / "images/heldout.parquet"),
    "encode": {"size": SIZE, "limit": 16, "shard_rows": 4},
    "teach": {"size": SIZE, "limit": 32, "shard_rows": 2, "guidance_scale": 4},
    "train": {**TRAINING, "steps": 100, "crf": {"hidden": 8, "filters": 8}},
    "distill": {**TRAINING, "steps": 20},
    "evaluate": {
        "size": SIZE,
        "limit": 2,
        "vendi_captions": 1,
        "vendi_noises": 2,
        "shard_rows": 2,
        "guidance_scale": 4,
    },
}
STORES = {"encode", "teach", "evaluate"}
STAGES = STORES | {"train", "distill"}
# What holds times, and what is no part of a result.
LEFT_OUT = ("report", "manifest.json", "costs", "pareto", "ray/", "tensorboard/", "checkpoints/")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A folder that every node has a copy of."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "small.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture
def cluster(config: Path, tmp_path: Path) -> Iterator[Cluster]:
    with start_cluster(tmp_path / "cluster", [config]) as cluster:
        cluster.upload(DEMO / "teacher", f"{BUCKET}/teacher")
        yield cluster


def test_the_outputs_are_those_of_one_machine(cluster: Cluster, config: Path) -> None:
    run = "latentcrf", "run", str(config / "small.yaml"), "--root"
    alone = cluster.drive(*run, f"{BUCKET}/alone", RAY_HEAD="")
    assert alone.wait() == 0, cluster.read_logs()
    workers = [cluster.add_worker(), cluster.add_worker()]
    first = cluster.drive(*run, f"{BUCKET}/runs")
    node = cluster.network.nodes[-1]
    wait_for(lambda: len(list(cluster.bucket.glob("runs/teach/*/commits/0*.json"))) > 1, first.poll)
    workers[0].kill()
    wait_for(lambda: list(cluster.bucket.glob("runs/train/*/checkpoints/*/checkpoint.json")), first.poll)
    [driver] = node.find_processes("bin/latentcrf run")
    begun = time.monotonic()
    driver.send_signal(signal.SIGTERM)
    assert first.wait() != 0
    print(f"the driver ended {time.monotonic() - begun:.1f} s after it was cancelled", flush=True)
    wait_for(lambda: not find_work(workers[1]), lambda: None)
    print(f"nothing of the run is left {time.monotonic() - begun:.1f} s after it was cancelled", flush=True)
    node.kill()  # as a container ends with its command
    cluster.add_worker()
    assert cluster.drive(*run, f"{BUCKET}/runs").wait() == 0, cluster.read_logs()
    expected, found = read_outputs(cluster.bucket / "alone"), read_outputs(cluster.bucket / "runs")
    assert {stage for stage, _ in expected} == STAGES
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []
    stores = [store for stage in STORES for store in cluster.bucket.glob(f"runs/{stage}/*")]
    assert [verify(str(store)) for store in stores] == [[]] * len(STORES)


def wait_for(holds: Callable[[], object], ended: Callable[[], object]) -> None:
    while not holds():
        assert ended() is None
        time.sleep(0.1)


def find_work(node: Node) -> list[str]:
    """List the workers of runs on a node; Ray's own agents, which stay, are none."""
    commands = map(read_command, node.find_processes("ray::"))
    return [command for command in commands if command and "Agent" not in command]


def read_outputs(root: Path) -> dict[tuple[str, str], bytes]:
    """Read what outputs below a root consist of, by stage and path; equal for equal outputs."""
    found: dict[tuple[str, str], bytes] = {}
    for output in root.glob("*/*"):
        if output.parent.name in STAGES:
            content = read_content(output).items()
            found |= {(output.parent.name, path): data for path, data in content if not path.startswith(LEFT_OUT)}
    return found
