"""Read a latent store as a PyTorch dataset. Imports neither Ray nor Prefect."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from storage import LatentStore
from storage.store.reader import shuffled_batches


class LatentDataset(IterableDataset[dict[str, Tensor]]):
    """Shuffled batches of a sealed latent store, as tensors, epoch after epoch without end.

    The dataset makes the batches itself: pass it to a ``DataLoader`` with ``batch_size=None``. The loader's workers
    share the rows, so no row comes twice in an epoch. The order depends on ``seed``, ``ranks`` and the loader's
    number of workers. If these are unchanged, ``start_batch`` resumes with the very batches that would have followed.

    Args:
        store_url: URL or path of a sealed store.
        names: The arrays to read.
        batch_size: Samples per batch.
        seed: Seed of the order.
        start_batch: Number of batches that the loader has already yielded on this rank. Default 0.
        rank: Rank of this training process, from 0 to ``ranks`` - 1. Default 0.
        ranks: Number of training processes that share the rows. Default 1.

    Yields:
        One batch (B = ``batch_size``): each array of ``names`` in its stored dtype, float16 for latents and vectors,
        and ``row`` int64 (B,). Latents are (B, C, H, W) views in channels-last memory format, without a copy.
        Call ``.float()`` on the device, so that the loader moves half the bytes of float32.

    Raises:
        UserError: The store is missing, unsealed, or has fewer valid rows than there are workers.
        DamagedStoreError: Stored bytes do not match their checksum.

    Example:
        >>> dataset = LatentDataset("runs/demo/encode/0123456789abcdef", ["latents", "text"], batch_size=8, seed=0)
        >>> loader = DataLoader(dataset, batch_size=None, num_workers=2, multiprocessing_context="spawn")
        >>> next(iter(loader))["latents"].shape
        torch.Size([8, 8, 64, 64])
    """

    def __init__(
        self,
        store_url: str,
        names: list[str],
        batch_size: int,
        seed: int,
        *,
        start_batch: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.store_url, self.names, self.batch_size, self.seed = store_url, names, batch_size, seed
        self.start_batch, self.rank, self.ranks = start_batch, rank, ranks

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        # The loader takes batches from its workers in turn and starts with worker 0. So worker 0 resumes the share
        # that batch ``start_batch`` belongs to, and the other workers the shares after it.
        share = (self.start_batch + worker) % workers
        batches = shuffled_batches(
            LatentStore.open(self.store_url),
            self.names,
            self.batch_size,
            self.seed,
            start_batch=(self.start_batch + worker) // workers,
            rank=self.rank * workers + share,
            ranks=self.ranks * workers,
        )
        for batch in batches:
            yield {name: to_tensor(values) for name, values in batch.items()}


def to_tensor(values_BX: Any) -> Tensor:
    """Return a tensor that shares the array's memory; (B, H, W, C) becomes (B, C, H, W)."""
    tensor = torch.from_numpy(values_BX)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
