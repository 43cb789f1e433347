"""Exchange values between the worker processes of a training. A single process counts as one worker."""

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def count_workers() -> int:
    """Count the processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def distribute(module: nn.Module) -> nn.Module:
    """Wrap a module so that its gradients are averaged over workers. A single worker gets the module itself."""
    return DistributedDataParallel(module, broadcast_buffers=False) if count_workers() > 1 else module


def average_over_workers(figures: dict[str, Tensor]) -> dict[str, float]:
    """Average each figure over all workers."""
    values = torch.stack([value.double() for value in figures.values()])
    if count_workers() > 1:
        distributed.all_reduce(values)
        values /= count_workers()
    return dict(zip(figures, values.tolist(), strict=True))


def gather_rows(rows: list[int]) -> list[int]:
    """Collect the row numbers of all workers, in ascending order if there are several workers."""
    if count_workers() == 1:
        return rows
    everyone: list[list[int]] = [[]] * count_workers()
    distributed.all_gather_object(everyone, rows)
    return sorted(row for each in everyone for row in each)
