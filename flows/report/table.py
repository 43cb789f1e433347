"""From stored samples to the table's figures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crf.evaluation.methods import REFERENCE, Method
from crf.evaluation.metrics import frechet_distance, mean_vendi
from storage import LatentStore


@dataclass(frozen=True)
class Measured:
    """A row: distances are Frechet distances of features; latent_mse is to full 50 at the same seeds."""

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
    """One row a contender, in the table's order."""
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
                distance_to_real=frechet_distance(features, real_ND),
                distance_to_teacher=frechet_distance(features, teacher_features),
                latent_mse=float(np.square(latents - teacher_latents).mean()),
                vendi=mean_vendi(features, groups),
                seconds_per_image=seconds[method.key],
            )
        )
    return rows


def format_row(row: dict[str, Any]) -> dict[str, str]:
    """Heading -> figure, to the digits that mean something."""
    digits = {"latent_mse": 4, "seconds_per_image": 3, "evaluations": 0, "distance_to_teacher": 3}
    return {
        heading: row[name] if name == "label" else f"{row[name]:.{digits.get(name, 2)}f}"
        for name, heading in HEADINGS.items()
    }
