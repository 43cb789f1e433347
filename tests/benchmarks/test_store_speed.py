from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.store_methods import BATCH, Files, MemoryMap, Ours

COUNT = 600


def test_the_store_and_its_limit_give_the_same_batches(tmp_path: Path) -> None:
    source = np.zeros((COUNT, 64, 64, 8), np.float16)
    source[:, 0, 0, 0] = np.arange(COUNT)
    batches = []
    for method in (Ours(str(tmp_path), COUNT), MemoryMap(str(tmp_path), COUNT)):
        method.write(source)
        batches.append(torch.cat(list(method.epoch(workers=0))))
    torch.testing.assert_close(batches[0], batches[1], rtol=0, atol=0)
    assert len(batches[0][:, 0, 0, 0].unique()) == COUNT // BATCH * BATCH


def test_files_give_every_sample_once(tmp_path: Path) -> None:
    files = Files(str(tmp_path), BATCH)
    files.write(np.arange(BATCH * 4, dtype=np.float16).reshape(BATCH, 4))
    [batch] = files.epoch(workers=0)
    assert sorted(batch[:, 0].tolist()) == np.arange(0, BATCH * 4, 4, dtype=np.float16).tolist()
