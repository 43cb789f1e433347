"""The manifests for GKE match Kubernetes' and KubeRay's schemas, and a run's Job is made as they expect."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from tests.support.manifests import Manifest, check, list_pods, make_strict, read_manifests

ROOT = Path(__file__).parents[2]
GKE = ROOT / "deploy/gke"
CRDS = Path(os.environ.get("KUBERAY_CRDS", ROOT.parent / "shared/kuberay-crds"))
MANIFESTS = [manifest for name in ("access", "prefect") for manifest in read_manifests(GKE / f"{name}.yaml")]
CLIENT = PrefectClient("http://127.0.0.1:9/api")  # asked for nothing, as the pool names no block and no variable
POOL = json.loads((GKE / "work-pool.json").read_text())


def name_manifest(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


@pytest.fixture(scope="module")
def cluster() -> Manifest:
    [manifest] = read_manifests(GKE / "raycluster.yaml")
    return manifest


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_manifest)
def test_manifests_match_the_schemas_of_kubernetes(manifest: Manifest) -> None:
    check(manifest)


def test_the_pods_of_ray_match_the_schemas_of_kubernetes(cluster: Manifest) -> None:
    pods = list_pods(cluster)
    assert [pod["metadata"]["name"] for pod in pods] == ["head", "gpu-spot", "gpu-ondemand"]
    for pod in pods:
        check(pod)


def test_a_misspelt_field_of_a_pod_is_found(cluster: Manifest) -> None:
    pod = list_pods(cluster)[0]
    pod["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    with pytest.raises(Exception, match="imagePullPolcy"):
        check(pod)
    del pod["spec"]["containers"][0]["imagePullPolcy"]


@pytest.mark.skipif(not CRDS.is_dir(), reason="KubeRay's schemas are not here: KUBERAY_CRDS names their folder")
def test_the_cluster_matches_the_schema_of_kuberay(cluster: Manifest) -> None:
    [definition] = read_manifests(CRDS / "ray.io_rayclusters.yaml")
    [schema] = [
        version["schema"]["openAPIV3Schema"] for version in definition["spec"]["versions"] if version["name"] == "v1"
    ]
    strict = make_strict(schema)
    jsonschema.validate(cluster, strict)
    wrong = yaml.safe_load(yaml.safe_dump(cluster).replace("maxReplicas", "maxReplica"))
    with pytest.raises(jsonschema.ValidationError, match="maxReplica"):
        jsonschema.validate(wrong, strict)


def test_a_lost_spot_node_leaves_time_to_drain_and_nothing_else_is_on_spot(cluster: Manifest) -> None:
    head, spot, on_demand = list_pods(cluster)
    for pod in (spot, on_demand):
        [container] = pod["spec"]["containers"]
        environment = {each["name"]: each["value"] for each in container["env"]}
        assert int(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]) < 15
    assert "nodeSelector" not in head["spec"]
    assert spot["spec"]["nodeSelector"] != on_demand["spec"]["nodeSelector"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on this machine")
def test_kustomize_puts_everything_into_the_namespace() -> None:
    done = subprocess.run(["kubectl", "kustomize", GKE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert sorted(map(name_manifest, built)) == sorted([*map(name_manifest, MANIFESTS), "RayCluster-latentcrf"])
    spaces = {each["metadata"].get("namespace") for each in built if each["kind"] != "Namespace"}
    assert spaces == {"latentcrf"}


def make_job(**values: Any) -> Manifest:
    """Make the Job that the Prefect worker would make of a run, with the pool's variables."""
    configure = KubernetesWorkerJobConfiguration.from_template_and_values
    configuration = asyncio.run(configure(POOL, {"command": "prefect flow-run execute", **values}, client=CLIENT))
    configuration._populate_env_in_manifest()
    job = configuration.job_manifest
    pod = job["spec"]["template"]["spec"]
    for misplaced in ("completions", "parallelism"):  # Prefect wants them there; Kubernetes ignores them
        del pod[misplaced]
    pod["containers"][0]["args"] = pod["containers"][0]["args"].split()  # as the worker does when it starts a run
    return dict(job)


def test_a_run_of_the_cluster_becomes_a_job_that_joins_it() -> None:
    job = make_job(image="registry/latentcrf:1", env={"PREFECT_API_URL": "http://prefect-server:4200/api"})
    check(job)
    assert job["spec"]["backoffLimit"] == 0
    [container] = job["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["RAY_HEAD"] == "latentcrf-head-svc:6379"
    assert environment["PREFECT_API_URL"] == "http://prefect-server:4200/api"
    assert "command" not in container  # the image's entry point stays


def test_a_run_with_a_ray_of_its_own_has_the_gpus() -> None:
    job = make_job(image="registry/latentcrf:1", ray_head="", gpus="2", cpu="16", memory="64Gi")
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "64Gi", "nvidia.com/gpu": "2"}
    assert {"name": "RAY_HEAD", "value": ""} in container["env"]


def test_every_variable_of_the_pool_is_used() -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(POOL["job_configuration"])))
    assert used == set(POOL["variables"]["properties"])
