"""The script that wrote the kept stores, tests/storage/store/stores/. Every later version must open them.

Until the layout is released, a change may write the newest store again:

    rm -r tests/storage/store/stores/v3
    python -c 'from tests.support.kept_store import write_v3; write_v3()'

Afterwards a new layout gets a new folder beside it. An older version of this script wrote v1, when the layout was 2:
its index has the column ``sha256``, and ``reason`` only since it was sealed.
"""

from pathlib import Path

import numpy as np

from storage import ArraySpec, LatentStore
from storage.store.index import index_tables

STORES = Path(__file__).parents[1] / "storage/store/stores"


def write_v3(folder: Path = STORES / "v3") -> None:
    """Write six rows in shards of four: the last shard is short, and row 4 is rejected."""
    rows = [
        {
            "id": f"id-{row}",
            "caption": f"caption {row} – ünï",
            "uri": f"file-{row}.png",
            "checksum": f"sha256:{row:064x}",
            "reason": "",
        }
        for row in range(6)
    ]
    store = LatentStore.create(
        str(folder),
        {"latents": ArraySpec.latent(4, 4, 8), "text": ArraySpec.vector(3)},
        index_tables(rows, 4),
        shard_rows=4,
        provenance={"stage": "encode", "scaling_factor": 0.5, "software": {"latentcrf": "0.1.0"}},
    )
    latents = (np.arange(6 * 4 * 4 * 8).reshape(6, 4, 4, 8) / 8 - 48).astype(np.float16)
    text = np.arange(18).reshape(6, 3).astype(np.float16)
    latents[4] = text[4] = np.nan
    seeds = np.iinfo(np.uint64).max - np.arange(6, dtype=np.uint64)
    for shard, rejected in enumerate([{}, {4: "empty: 0 bytes"}]):
        part = store.extent(shard)
        store.write_shard(
            shard,
            {"latents": latents[part], "text": text[part]},
            valid=np.arange(6)[part] != 4,
            seed=seeds[part],
            rejected=rejected,
            timing={"seconds": 0.25},
        )
    store.seal()
