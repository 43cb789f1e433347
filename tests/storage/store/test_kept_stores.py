"""A store that was written by an earlier version opens for ever. How it was written: ``kept_store``."""

import numpy as np

from storage import LatentStore
from storage.store.reader import shuffled_batches
from tests.support.kept_store import STORES


def test_v1() -> None:
    store = LatentStore.open(str(STORES / "v1"))
    assert store.verify() == []
    assert (len(store), store.shard_rows, store.names) == (6, 4, ["latents", "text"])
    assert store.index.to_pylist() == [
        {
            "id": f"id-{row}",
            "caption": f"caption {row} – ünï",
            "uri": f"file-{row}.png",
            "sha256": f"{row:064x}",
            "reason": "empty: 0 bytes" if row == 4 else None,
        }
        for row in range(6)
    ]
    assert store.rows(1).to_pylist() == store.index.to_pylist()[4:]
    assert store.valid.tolist() == [True, True, True, True, False, True]
    assert store.provenance == {"stage": "encode", "scaling_factor": 0.5, "software": {"latentcrf": "0.1.0"}}
    last = store.shard(1)
    assert last["seed"].tolist() == [2**64 - 5, 2**64 - 6]
    assert last["text"][1].tolist() == [15, 16, 17]
    assert np.isnan(last["latents"][0]).all()
    expected = np.arange(768).reshape(6, 4, 4, 8) / 8 - 48
    for row in (0, 1, 2, 3, 5):
        np.testing.assert_array_equal(store.sample(row)["latents"], expected[row].astype(np.float16))
    batch = next(shuffled_batches(store, ["latents"], 5, seed=0))
    assert sorted(batch["row"].tolist()) == [0, 1, 2, 3, 5]
    np.testing.assert_array_equal(batch["latents"], expected[batch["row"]])


def test_v3() -> None:
    """Its index has a checksum with its algorithm, and reasons from the start. All else is as in v1."""
    store, older = LatentStore.open(str(STORES / "v3")), LatentStore.open(str(STORES / "v1"))
    assert store.verify() == []
    assert store.index.to_pylist() == [
        {
            "id": row["id"],
            "caption": row["caption"],
            "uri": row["uri"],
            "checksum": f"sha256:{row['sha256']}",
            "reason": row["reason"],
        }
        for row in older.index.to_pylist()
    ]
    assert store.valid.tolist() == older.valid.tolist()
    for shard in range(2):
        for name, values in older.shard(shard).items():
            np.testing.assert_array_equal(store.values(name, shard), values)
