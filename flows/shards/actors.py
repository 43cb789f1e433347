"""Choose the model actors of a job."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from flows.parameters.running import Resources

# When a node is lost, its actors start again on those that are left, until no more fit. Two actors never fill a core:
# the tasks that read and write shards find room beside them, or the job would wait for ever.
ACTOR_CPUS, TASK_CPUS = 0.49, 0.01


@dataclass(frozen=True)
class Actors:
    """How many model actors there are, on which device, and what Ray is to give each: GPUs, and a node with labels.

    ``tasks``: how many blocks are read and decoded at once, and how many are written.
    """

    count: int
    device: str
    tasks: int
    gpus: float = 0
    labels: dict[str, str] = field(default_factory=dict)

    @classmethod
    def choose(cls, resources: Resources, alive: Mapping[str, float]) -> Self:
        """Choose as asked for; what is not, from what Ray has now.

        ``alive``: ``ray.cluster_resources()``. It has no entry for what no node has.
        """
        gpus, cores = int(alive.get("GPU", 0)), max(1, int(alive.get("CPU", 1)))
        on_gpus = resources.uses_gpus(gpus)
        count = resources.actors or (max(1, int(gpus / resources.gpu_share)) if on_gpus else cores)
        tasks = resources.decoders * count if resources.decoders else max(count, cores)
        if on_gpus:
            return cls(count, "cuda", tasks, resources.gpu_share, resources.labels)
        return cls(count, "cpu", tasks)
