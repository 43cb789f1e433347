"""Read a latent store in PyTorch: one sample, then shuffled batches, then where to go on after a restart.

    python examples/read_store.py runs/demo/teach/FINGERPRINT step_50 --batch-size 64

The store may lie on any fsspec URL. Ray and Prefect are not needed.
"""

from itertools import islice

import cyclopts
import torch

from storage import LatentStore
from storage.store.reader import shuffled_batches


def main(store: str, array: str, *, batch_size: int = 64, batches: int = 10, start_batch: int = 0) -> None:
    latents = LatentStore.open(store)
    print(f"{len(latents)} rows, {int(latents.valid.sum())} of them valid; arrays: {', '.join(latents.names)}")
    first = latents.sample(0)
    print(f"row 0: {first['caption']!r}, {first[array].shape} {first[array].dtype}")

    # Only valid rows. The order follows from the seed, so batch 1000 is the same whether or not a run was interrupted.
    # In distributed training give each process its `rank` of `ranks`.
    epochs = shuffled_batches(latents, [array, "text"], batch_size, seed=0, start_batch=start_batch)
    total = torch.zeros(())
    for batch in islice(epochs, batches):
        z_BCHW = torch.from_numpy(batch[array]).permute(0, 3, 1, 2)  # a channels-last view, no copy
        total += z_BCHW.float().square().mean()
    print(f"mean square of {batches} batches of {batch_size}: {total / batches:.4f}")
    print(f"to go on from here: --start-batch {start_batch + batches}")


if __name__ == "__main__":
    cyclopts.run(main)
