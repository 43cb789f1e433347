"""An evaluation's report.json, version 2, as ``reproduce`` reads it."""

from pathlib import Path
from typing import Any

from storage import Identity, locations


def make_row(key: str, schedule: str, kind: str, seconds: float, distance: float, vendi: float) -> dict[str, Any]:
    """Make one method's row."""
    return {
        "key": key,
        "label": key,
        "schedule": schedule,
        "kind": kind,
        "seconds": {"median": seconds, "low": seconds, "high": seconds},
        "latent_mse": {"mean": 0.001, "low": 0.0, "high": 0.002, "geometric_mean": 0.001, "p95": 0.01},
        "distance_to_real": {"value": distance, "difference": 1.5, "low": 1.0, "high": 2.0},
        "clip_score": None,
        "vendi": {"mean": vendi, "low": vendi, "high": vendi},
    }


def make_report(**crf: Any) -> dict[str, Any]:
    """Make the report of an evaluation like the demo's. ``crf``: the CRF's options that are not the paper's."""
    return {
        "version": 2,
        "protocol_id": "0123456789ab",
        "protocol": {
            "features": {"name": "EfficientNet-Lite0", "weights_sha256": "ab"},
            "captions": {"hash": "ab", "count": 64},
            "images": {"hash": "cd", "count": 376},
            "noises": 1,
            "vendi": {"captions": 8, "noises": 4},
            "guidance_scale": 4.0,
            "size": 128,
        },
        "made": {"crf": {"lead": "31/40", "with_text": True, "with_higher_order": True, **crf}},
        "rows": [
            make_row("full_50", "50/50", "reference", 5.0, 294.9, 2.5),
            make_row("crf_2", "31/40 + crf + 2/50", "crf", 3.5, 296.1, 2.4),
            make_row("none_2", "31/40 + 2/50", "control", 3.3, 324.4, 2.0),
        ],
    }


def write_report(root: Path, report: dict[str, Any], name: str = "one") -> str:
    """Write a report as the only object of a sealed evaluation; return the evaluation's URL."""
    identity = Identity("evaluate", 4, {"captions": name}, {})
    identity.write(str(root))
    url = identity.url(str(root))
    locations.write_json(f"{url}/report.json", report)
    locations.write_json(f"{url}/manifest.json", {})
    return url
