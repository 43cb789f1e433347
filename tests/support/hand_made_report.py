"""An evaluation's report.json and store, made by hand: six methods, five captions, of which one has four noises."""

from pathlib import Path
from typing import Any

import numpy as np

from storage import ArraySpec, LatentStore
from storage.store.index import index_tables

CAPTIONS = (
    "a red circle",
    "<script>alert('caption')</script> & \"quotes\"",
    "кот на крыше 猫が屋根の上 قطة على السطح",
    "a very long caption that goes on, " * 20 + "unbroken" * 40,
    "$x_1$ | *stars* | `code`",
)
NOISES = 4  # of the first caption
METHODS = (
    ("full_50", "full 50", "50/50", "reference", 50),
    ("front_17", "front <17>", "17@981,921,21", "front", 17),
    ("front_10", "front 10", "10@981,921,21", "front", 10),
    ("crf_2", "31 + CRF + 2", "31/40 + crf + 2/50", "crf", 33),
    ("ddim_33", "33-step DDIM", "33/33", "sampler", 33),
    ("ddim_17", "17-step DDIM", "17/17", "sampler", 17),
    ("none_2", "31 + 0 + 2", "31/40 + 2/50", "control", 33),
    ("other_noises", "other noises", "50/50", "floor", 50),
)
SAMPLED = tuple(key for key, *_ in METHODS[:-1])  # the last one's figures come from the reference's samples


def make_report() -> dict[str, Any]:
    """Make a report whose every figure is another number. The reference and the floor lack some, as in a real one."""
    rows = [make_row(number, *method) for number, method in enumerate(METHODS)]
    rows[0] |= {"latent_mse": None, "psnr": None, "feature_distance": None}
    rows[0]["distance_to_real"] |= dict.fromkeys(("difference", "low", "high"))
    rows[-1] |= {"seconds": None, "converged_mse": None, "vendi": None, "clip_score": None}
    return {
        "version": 2,
        "summary": "17 evaluations, 2.9× fewer passes & <b>no</b> loss.",
        "protocol_id": "0a1b2c3d4e5f",
        "protocol": {"version": 1, "features": {"name": "EfficientNet-Lite0"}, "captions": {"sha256": "ab" * 32}},
        "subject": {"teacher": {"unet": "00ff"}, "crf": "7fdfa328b9ce43c0", "front": None},
        "environment": {
            "packages": {"torch": "2.13.0"},
            "device": "CPU <2 cores>",
            "threads": 1,
            "dtype": "float32",
            "commit": None,
        },
        "baseline": "ddim_17",
        "captions": len(CAPTIONS),
        "samples": len(CAPTIONS) + NOISES - 1,
        "truncated_captions": 1,
        "seen_captions": "none",
        "made": {"parameters": {"guidance_scale": 4.0, "seed": 1, "size": 32, "lead": "31/40"}},
        "rows": rows,
        "comparisons": [
            make_comparison("front_17", 0.617, significant=True),
            make_comparison("crf_2", 1.0213, significant=False),
            make_comparison("none_2", 7.3459, significant=True),
        ],
    }


def make_row(number: int, key: str, label: str, schedule: str, kind: str, evaluations: int) -> dict[str, Any]:
    def measure(value: float, *more: str) -> dict[str, float]:
        middle = value * (1 + number / 37)
        spread = {name: middle * (1.1 + 0.3 * place) for place, name in enumerate(more)}
        return {"mean": middle, "low": middle * 0.83, "high": middle * 1.27, **spread}

    factor = 1 + number / 31
    return {
        "key": key,
        "label": label,
        "schedule": schedule,
        "kind": kind,
        "evaluations": evaluations,
        "passes": 2.0 * evaluations,
        "flops": int(1.37e12 * evaluations),
        "seconds": {"median": 0.0091 * evaluations, "low": 0.0089 * evaluations, "high": 0.0097 * evaluations},
        "peak_bytes": None,
        "latent_mse": measure(0.00187, "geometric_mean", "p95"),
        "converged_mse": measure(0.00231, "geometric_mean", "p95"),
        "psnr": measure(31.7),
        "feature_distance": measure(2.47),
        "distance_to_real": {"value": 294.9 * factor, "difference": 1.23 * factor, "low": -0.71, "high": 3.17},
        **dict.fromkeys(("kid_to_real", "precision", "recall", "density", "coverage", "st_lpips")),
        "clip_score": 27.31 * factor,
        "caption_accuracy": 0.871 / factor,
        "vendi": measure(1.943),
    }


def make_comparison(key: str, ratio: float, significant: bool) -> dict[str, Any]:
    return {
        "key": key,
        "baseline": "ddim_17",
        "ratio": ratio,
        "low": ratio * 0.81,
        "high": ratio * 1.19,
        "p": 0.0123 if significant else 0.617,
        "p_holm": 0.0247 if significant else 1.0,
        "significant": significant,
        "wins": 4 if significant else 2,
        "captions": len(CAPTIONS),
    }


def make_samples(url: Path) -> LatentStore:
    """Make the sealed store of samples for a teacher of 4x4x8 latents."""
    ids = ["row-0", *(f"row-0/noise-{number}" for number in range(1, NOISES))]
    captions = [CAPTIONS[0]] * NOISES
    for number, caption in enumerate(CAPTIONS[1:], start=1):
        ids.append(f"row-{number}")
        captions.append(caption)
    rows = [
        {"id": name, "caption": caption, "uri": name, "checksum": f"sha256:{place:064x}", "reason": None}
        for place, (name, caption) in enumerate(zip(ids, captions, strict=True))
    ]
    count, random, specs, arrays = len(rows), np.random.default_rng(0), {}, {}
    for key in SAMPLED:
        specs[f"latents_{key}"] = ArraySpec.latent(4, 4, 8)
        arrays[f"latents_{key}"] = random.standard_normal((count, 4, 4, 8)).astype(np.float16)
        specs[f"latent_mse_{key}"] = ArraySpec((), "float32", ())
        arrays[f"latent_mse_{key}"] = random.lognormal(-6, 1, count).astype(np.float32)
    store = LatentStore.create(
        str(url), specs, index_tables(rows, count), shard_rows=count, provenance={"stage": "evaluate"}
    )
    valid, seed = np.ones(count, bool), np.arange(count, dtype=np.uint64)
    store.write_shard(0, arrays, valid=valid, seed=seed, rejected={}, timing={})
    store.seal()
    return LatentStore.open(str(url))
