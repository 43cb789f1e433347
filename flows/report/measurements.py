"""Collect what the report needs besides the stored samples: real images' features, times, training losses."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from crf.device import choose_device
from crf.evaluation.comparison import time_methods
from crf.evaluation.methods import Method
from crf.features.efficientnet import EfficientNetFeatures
from crf.stages.captions import silence_truncation
from crf.teacher.teacher import Teacher
from flows.crf_files import load_crf
from flows.parameters import EvaluateParameters
from storage import locations
from storage.errors import UserError
from storage.identity import read_identity
from storage.inputs.captions import scan_captions
from storage.inputs.decoding import decode_apart
from storage.inputs.images import read_images
from storage.inputs.rows import RejectedImageError, Row

TIMED_IMAGES, TIMED_ROUNDS = 4, 2


def compute_real_features(rows: Iterable[Row], size: int) -> Any:
    """Compute the features (N, 1280) of the real images, except those that are rejected."""
    network = EfficientNetFeatures()
    features, uris = [], [row["uri"] for row in rows if not row["reason"]]
    for start in range(0, len(uris), 32):
        pixels = []
        for data in read_images(uris[start : start + 32]):
            try:
                pixels.append(decode_apart(data, size))
            except RejectedImageError:
                continue
        if pixels:
            x_BCHW = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
            features.append(network(x_BCHW).numpy())
    if not features:
        raise UserError("real images that can be read", "none in the set", "check --images")
    return np.concatenate(features)


def measure_seconds(params: EvaluateParameters, size: int, methods: tuple[Method, ...]) -> dict[str, float]:
    """Measure each method's seconds per image on this machine's device, one method after another."""
    device = choose_device()
    teacher = Teacher.load(params.teacher, device)
    captions = [row["caption"] for row in scan_captions(params.captions, TIMED_IMAGES)]
    silence_truncation(teacher)
    crf = load_crf(params.crf).eval().to(device)
    return time_methods(teacher, crf, captions, params.guidance_scale, size, methods, TIMED_ROUNDS)


def read_training_losses(params: EvaluateParameters) -> dict[str, list[dict[str, float]]]:
    """Read the losses of both training stages: stage -> records. A stage whose output is gone is left out."""
    stage_1 = read_identity(params.crf).inputs["train"]
    root = locations.make_absolute(params.crf).rsplit("/", 2)[0]
    urls = {"train": locations.join(root, "train", stage_1), "distill": params.crf}
    found = {name: locations.join(url, "losses.json") for name, url in urls.items()}
    return {name: locations.read_json(url) for name, url in found.items() if locations.exists(url)}
