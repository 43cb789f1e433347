import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from flows.training.dataset import LatentDataset
from storage import LatentStore
from storage.store.reader import shuffled_batches
from tests.support.stores import create_store, fill_shard

ROWS, SHARD_ROWS = 26, 3


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("store") / "s")
    store = create_store(url, ROWS, SHARD_ROWS)
    for shard in range(store.shard_count):
        fill_shard(store, shard)
    store.seal()
    return url


def load(dataset: LatentDataset, count: int, workers: int) -> list[dict[str, torch.Tensor]]:
    options: dict[str, Any] = {"multiprocessing_context": "spawn"} if workers else {}
    return list(islice(DataLoader(dataset, batch_size=None, num_workers=workers, **options), count))


def rows(batches: list[dict[str, torch.Tensor]]) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


def test_batches_are_the_readers_as_channels_first_views(store_url: str) -> None:
    batches = load(LatentDataset(store_url, ["latents", "text"], 4, seed=1), 8, workers=0)
    read = shuffled_batches(LatentStore.open(store_url), ["latents", "text"], 4, seed=1)
    for batch, expected in zip(batches, islice(read, 8), strict=True):
        assert batch.keys() == {"latents", "text", "row"}
        assert (batch["latents"].shape, batch["latents"].dtype) == ((4, 2, 4, 4), torch.float16)
        assert batch["latents"].is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_array_equal(batch["latents"].permute(0, 2, 3, 1).numpy(), expected["latents"])
        np.testing.assert_array_equal(batch["text"].numpy(), expected["text"])
        assert batch["row"].tolist() == expected["row"].tolist()


def test_two_workers_share_an_epoch_and_continue_at_any_batch(store_url: str) -> None:
    """13 rows per worker and epoch: 4 batches of 3 rows and a rest, so some batches span two epochs."""
    whole = load(LatentDataset(store_url, ["latents"], 3, seed=2), 12, workers=2)
    epoch = [row for batch in rows(whole)[:8] for row in batch]
    assert len(epoch) == len(set(epoch)) == 24
    resumed = load(LatentDataset(store_url, ["latents"], 3, seed=2, start_batch=5), 7, workers=2)
    assert rows(resumed) == rows(whole)[5:]
    stored = LatentStore.open(store_url)
    for batch in resumed:
        for row, latents in zip(batch["row"].tolist(), batch["latents"], strict=True):
            np.testing.assert_array_equal(latents.permute(1, 2, 0).numpy(), stored.value("latents", row))


@pytest.mark.parametrize("start", range(5))
def test_shares_of_ranks_and_loader_workers(store_url: str, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three loader workers on each of two ranks, without the processes: worker 0 is asked first."""
    batches = {}
    for rank in (0, 1):
        streams = []
        for worker in range(3):
            info = type("Info", (), {"id": worker, "num_workers": 3})
            monkeypatch.setattr("flows.training.dataset.get_worker_info", lambda info=info: info)
            dataset = LatentDataset(store_url, ["text"], 2, seed=3, start_batch=start, rank=rank, ranks=2)
            streams.append(rows(list(islice(dataset, 3))))
        batches[rank] = [batch for turn in zip(*streams, strict=True) for batch in turn]
    whole = {}
    for rank in (0, 1):
        read = [
            shuffled_batches(LatentStore.open(store_url), ["text"], 2, 3, rank=rank * 3 + share, ranks=6)
            for share in range(3)
        ]
        whole[rank] = [next(read[number % 3])["row"].tolist() for number in range(start + 9)]
    assert batches == {rank: whole[rank][start:] for rank in whole}


def test_it_needs_neither_ray_nor_prefect() -> None:
    code = "import sys, flows.training.dataset; print({'ray', 'prefect'} & sys.modules.keys())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
