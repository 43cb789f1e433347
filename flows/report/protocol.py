"""The protocol of an evaluation: everything that its numbers depend on, apart from what is evaluated.

Two reports can be compared only if their protocols are equal. The methods, the CRF and the machine are not in it.
"""

import hashlib
import json
from typing import Any

from crf.evaluation.methods import CONVERGED_STEPS, FULL
from crf.metrics.jackknife import MAX_GROUPS
from crf.statistics.intervals import LEVEL, SMALLEST_ERROR
from flows.parameters.evaluation import EvaluateParameters
from storage import Identity

VERSION = 1
METRICS = {
    "latent_mse": 1,
    "converged_mse": 1,
    "psnr": 1,
    "feature_distance": 1,
    "frechet_distance": 1,
    "kernel_distance": 1,
    "neighbourhoods": 1,
    "vendi": 1,
    "clip_score": 1,
    "st_lpips": 1,
    "caption_accuracy": 1,
}
"""Raise a metric's version if equal samples now give another number."""


def describe_protocol(
    params: EvaluateParameters, identity: Identity, features: dict[str, Any], captions: int, samples: int, images: int
) -> dict[str, Any]:
    """Describe the protocol of an evaluation as JSON types.

    Args:
        params: The evaluation's parameters.
        identity: The evaluation's identity.
        features: Description of the features.
        captions: Number of captions.
        samples: Number of samples.
        images: Number of real images that can be used.
    """
    return {
        "version": VERSION,
        "features": features,
        "metrics": METRICS,
        "reference": {"schedule": str(FULL), "converged_steps": CONVERGED_STEPS, "dtype": params.dtype},
        "captions": {"hash": identity.inputs["captions"], "count": captions},
        "images": {"hash": identity.inputs["images"], "count": images},
        "samples": samples,
        "noises": params.noises,
        "vendi": {"captions": params.vendi_captions, "noises": params.vendi_noises},
        "caption_test": params.caption_test,
        "noise": {"seed": params.seed, "rule": "sha256(seed:sample id), one CPU generator per sample"},
        "guidance_scale": params.guidance_scale,
        "size": identity.parameters["size"],
        "decoding": {"dtype": params.dtype, "range": [-1, 1], "clamped": True, "quantised": False},
        "interval": {
            "unit": "caption",
            "method": "Student's t on caption means; of Fréchet distances, a jackknife over groups of captions",
            "groups": MAX_GROUPS,
            "level": LEVEL,
            "smallest_error": SMALLEST_ERROR,
            "family": "Holm",
        },
    }


def compute_protocol_id(protocol: dict[str, Any]) -> str:
    """Compute 12 hex digits of the SHA-256 of the protocol's canonical JSON."""
    canonical = json.dumps(protocol, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def list_differences(first: Any, second: Any, name: str = "") -> list[str]:
    """List the fields in which two protocols differ, each as "field: value, value"."""
    if isinstance(first, dict) and isinstance(second, dict):
        fields = sorted(first.keys() | second.keys())
        return [
            line
            for field in fields
            for line in list_differences(first.get(field), second.get(field), f"{name}.{field}".lstrip("."))
        ]
    return [] if first == second else [f"{name}: {json.dumps(first)}, {json.dumps(second)}"]
