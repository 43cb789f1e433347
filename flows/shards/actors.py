"""Choose the model actors of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from flows.parameters.running import Resources


@dataclass(frozen=True)
class Actors:
    """How many model actors there are, on which device, and what Ray is to give each: GPUs, and a node with labels."""

    count: int
    device: str
    gpus: float = 0
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def choose(cls, resources: Resources, alive: Mapping[str, float]) -> Self:
        """Choose as asked for; what is not, from what Ray has now.

        ``alive``: ``ray.cluster_resources()``. It has no entry for what no node has.
        """
        gpus = int(alive.get("GPU", 0))
        if resources.uses_gpus(gpus):
            count = resources.actors or max(1, int(gpus / resources.gpu_share))
            return cls(count, "cuda", resources.gpu_share, resources.labels)
        return cls(resources.actors or max(1, int(alive.get("CPU", 1))), "cpu")
