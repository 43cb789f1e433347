"""Small evaluations, as ``evaluate`` leaves them, without a model: stores of errors with a report."""

from pathlib import Path
from typing import Any

import numpy as np

from storage import ArraySpec, LatentStore, locations
from storage.store.index import index_tables

PROTOCOL: dict[str, Any] = {"version": 1, "size": 32, "captions": {"hash": "ab12", "count": 12}}


def make_evaluation(
    url: Path,
    factors: dict[str, float],
    *,
    captions: int = 12,
    seed: int = 0,
    protocol: dict[str, Any] = PROTOCOL,
    unet: str = "u1",
) -> str:
    """Write a sealed evaluation. The first two captions have two noises, all others one.

    Args:
        url: Where to write it.
        factors: Method key -> factor of its errors. Errors are otherwise equal but for small changes by ``seed``.
        captions: Number of captions.
        seed: Seed of the small changes.
        protocol: The report's protocol.
        unet: Fingerprint of the teacher's U-Net.
    """
    labels = [f"c{place}" for place in range(captions) for _ in range(2 if place < 2 else 1)]
    ids = [f"{label}/noise-1" if labels[place - 1 : place] == [label] else label for place, label in enumerate(labels)]
    rows = [
        {"id": name, "caption": f"caption {c}", "uri": c, "checksum": ""} for name, c in zip(ids, labels, strict=True)
    ]
    specs = {f"{error}_{key}": ArraySpec((), "float32", ()) for key in factors for error in ("latent_mse", "psnr")}
    store = LatentStore.create(str(url), specs, index_tables(rows, len(rows)), shard_rows=len(rows), provenance={})
    common = np.random.default_rng(99).lognormal(-6, 1, len(rows))
    changes = np.random.default_rng(seed)
    arrays: dict[str, Any] = {}
    for key, factor in factors.items():
        errors = common * factor * np.exp(0.01 * changes.standard_normal(len(rows)))
        arrays |= {f"latent_mse_{key}": errors, f"psnr_{key}": -10 * np.log10(errors)}
    nothing = np.zeros(len(rows), np.uint64)
    store.write_shard(0, arrays, valid=np.ones(len(rows), bool), seed=nothing, rejected={}, timing={})
    report = {
        "version": 2,
        "protocol_id": "0" * 12,
        "protocol": protocol,
        "subject": {"teacher": {"unet": unet}, "crf": None, "front": None},
        "rows": [{"key": key, "label": key, "schedule": "33/33"} for key in factors],
    }
    locations.write_json(locations.join(str(url), "report.json"), report)
    store.seal(["report.json"])
    return str(url)
