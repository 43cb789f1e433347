"""Measure the methods' costs on a worker of the Ray cluster."""

from collections.abc import Mapping
from typing import Any

from crf.evaluation.methods import Method
from flows.parameters.running import Resources
from flows.ray_session import ray_session
from flows.shards.actors import Actors
from storage.model_files.folders import local_folder


def measure_costs_on_ray(
    methods: tuple[Method, ...], resources: Resources, folders: Mapping[str, str], **arguments: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run ``crf.evaluation.costs.measure_costs`` as one Ray task, alone on a GPU if the cluster has any.

    ``folders``: its arguments that are paths -> URLs of the models, which the task fetches to its machine.
    """
    import ray

    def run(device: str) -> Any:
        from crf.evaluation.costs import measure_costs

        paths: dict[str, Any] = {name: local_folder(url) for name, url in folders.items()}
        return measure_costs(device=device, methods=methods, **{"crf_path": None, **paths}, **arguments)

    with ray_session():
        actors = Actors.choose(resources, ray.cluster_resources())
        task = ray.remote(num_cpus=1, num_gpus=actors.gpus and 1, label_selector=actors.labels)(run)
        costs, environment = ray.get(task.remote(actors.device))
    return costs, environment
