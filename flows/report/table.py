"""Compute the rows of the report's table from the stored samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crf.evaluation.methods import REFERENCE, Method
from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.moments import Moments
from crf.metrics.vendi import compute_vendi_per_group
from storage import LatentStore


@dataclass(frozen=True)
class Measured:
    """One row of the table: a method and its figures.

    Distances are squared Fréchet distances of image features. ``latent_mse`` is the mean squared error
    to the latents of all 50 teacher steps from the same noise.
    """

    key: str
    label: str
    schedule: str
    renoise: str
    evaluations: int
    distance_to_real: float
    distance_to_teacher: float
    latent_mse: float
    vendi: float
    seconds_per_image: float


HEADINGS = {
    "label": "method",
    "evaluations": "U-Net evaluations",
    "distance_to_real": "distance to real",
    "distance_to_teacher": "distance to full 50",
    "latent_mse": "latent MSE to full 50",
    "vendi": "Vendi",
    "seconds_per_image": "s / image",
}


def measure(
    store: LatentStore, methods: tuple[Method, ...], real_ND: Any, seconds: dict[str, float], noises: int
) -> list[Measured]:
    """Compute one row per method, in the order of ``methods``.

    ``real_ND``: features of the real images. ``seconds``: method key -> seconds per image.
    ``noises``: samples per caption.
    """
    groups = np.arange(len(store)) // noises
    teacher_latents = np.asarray(store[f"latents_{REFERENCE}"][:], dtype=np.float32)
    teacher_features = np.asarray(store[f"features_{REFERENCE}"][:])
    rows = []
    for method in methods:
        latents = np.asarray(store[f"latents_{method.key}"][:], dtype=np.float32)
        features = np.asarray(store[f"features_{method.key}"][:])
        rows.append(
            Measured(
                key=method.key,
                label=method.label,
                schedule=str(method.schedule),
                renoise=method.schedule.renoise,
                evaluations=method.schedule.evaluations,
                distance_to_real=compute_frechet_distance(Moments.of(features), Moments.of(real_ND)),
                distance_to_teacher=compute_frechet_distance(Moments.of(features), Moments.of(teacher_features)),
                latent_mse=float(np.square(latents - teacher_latents).mean()),
                vendi=float(compute_vendi_per_group(features, groups).mean()),
                seconds_per_image=seconds[method.key],
            )
        )
    return rows


def format_row(row: dict[str, Any]) -> dict[str, str]:
    """Format a row of report.json for display: heading -> label or figure with a fixed number of decimals."""
    digits = {"latent_mse": 4, "seconds_per_image": 3, "evaluations": 0, "distance_to_teacher": 3}
    return {
        heading: row[name] if name == "label" else f"{row[name]:.{digits.get(name, 2)}f}"
        for name, heading in HEADINGS.items()
    }
