"""Train a CRF on pairs of your own: put them in a latent store, then train from the store.

    python examples/train_on_pairs.py PAIRS.npz STORE CRF --steps 1000

PAIRS.npz: `observed` and `target` latents (N, y, x, channel), `text` embeddings (N, D), and `captions` (N,).
Run it again after an interruption: shards that are committed are not written again.
"""

import cyclopts
import numpy as np
import torch

from crf import LatentCRF, LatentCRFConfig
from crf.training.pairs import make_teacher_pairs
from crf.training.trainer import Trainer, TrainerConfig
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables
from storage.store.reader import shuffled_batches


def main(pairs: str, store: str, crf: str, *, steps: int = 1000, batch_size: int = 16, shard_rows: int = 512) -> None:
    loaded = np.load(pairs)
    arrays = {"step_40": loaded["observed"], "step_50": loaded["target"], "text": loaded["text"]}
    (height, width, channels), (text_width,) = arrays["step_40"].shape[1:], arrays["text"].shape[1:]
    latent = ArraySpec.latent(height, width, channels)
    specs = {"step_40": latent, "step_50": latent, "text": ArraySpec.vector(text_width)}
    rows = [{"id": f"pair-{row}", "caption": str(caption)} for row, caption in enumerate(loaded["captions"])]
    tables = index_tables(rows, shard_rows)
    written = LatentStore.create(store, specs, tables, shard_rows=shard_rows, provenance={"pairs": pairs})
    for shard in sorted(set(range(written.shard_count)) - written.committed()):
        part = written.extent(shard)
        count = part.stop - part.start
        values, valid = {name: array[part] for name, array in arrays.items()}, np.ones(count, bool)
        written.write_shard(shard, values, valid=valid, seed=np.zeros(count, np.uint64), rejected={}, timing={})
    written.seal()

    config = LatentCRFConfig(height=height, width=width, channels=channels, text_width=text_width, heads=2, filters=64)
    trainer = Trainer(LatentCRF(config), TrainerConfig(steps=steps, learning_rate=1e-3, lr_warmup_steps=steps // 20))
    batches = shuffled_batches(LatentStore.open(store), list(specs), batch_size, seed=0)
    for _, batch in zip(range(steps), make_teacher_pairs(batches), strict=False):
        losses = trainer.step(batch)
    trainer.result.save_pretrained(crf)
    print(f"{crf}: {steps} steps on {len(rows)} pairs, MSE {losses['mse']:.4f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    cyclopts.run(main)
