"""evaluate: teacher, CRF, held-out captions and images -> the table, with every control."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from prefect import flow

from crf.comparison import CONTENDERS, seconds_per_image
from crf.evaluate import CompareContenders
from crf.features import NAME as FEATURES
from crf.features import ImageFeatures
from crf.teacher import Teacher
from crf.teacher_folder import TeacherShape, teacher_fingerprints
from flows.artifacts import publish
from flows.checkpoints import load_crf, local_crf
from flows.parameters import EvaluateParameters
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.report import write_report
from flows.sharded import compute_shards
from flows.stage import Stage, StageResult, Work, input_fingerprint, prefect_state, provenance, run_stage, unfinished
from flows.table import measure
from flows.teach import SeedRows
from storage import ArraySpec, Identity, LatentStore, locations
from storage.captions import scan_captions
from storage.identity import fingerprint_rows
from storage.images import Row, read_images, scan_images
from storage.index import index_tables
from storage.pixels import RejectedImageError, decode_image

FEATURE_WIDTH = 1280
TIMED_IMAGES, TIMED_ROUNDS = 4, 2


def samples(params: EvaluateParameters) -> Iterator[Row]:
    """A row for every noise of every caption; the noises of a caption stand together."""
    for row in scan_captions(params.captions, params.limit):
        for number in range(params.noises):
            yield {**row, "id": f"{row['id']}/noise-{number}", "uri": row["id"]}


def identify(params: EvaluateParameters) -> tuple[Identity, int]:
    size = params.size or TeacherShape.read(params.teacher).default_size
    captions, count = fingerprint_rows(samples(params))
    images, _ = fingerprint_rows(scan_images(params.images))
    teacher = {f"teacher.{part}": value for part, value in teacher_fingerprints(params.teacher).items()}
    inputs = {"distill": input_fingerprint(params.crf), "captions": captions, "images": images, **teacher}
    contenders = {contender.label: f"{contender.schedule}" for contender in CONTENDERS}
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance": params.guidance,
        "seed": params.seed,
        "noises": params.noises,
        "contenders": contenders,
        "features": FEATURES,
    }
    return Identity("evaluate", 1, inputs, parameters), -(-count // params.shard_rows)


def compute(params: EvaluateParameters, work: Work, progress: Progress) -> None:
    store = sample_store(params, work)
    size = work.identity.parameters["size"]
    with local_crf(params.crf) as crf_path, ray_session():
        arguments = {
            "teacher_path": params.teacher,
            "crf_path": crf_path,
            "guidance": params.guidance,
            "size": size,
        }
        for _ in compute_shards(store, unfinished(store), SeedRows(params.seed), CompareContenders, arguments):
            progress.advance()
    measured = measure(store, real_features(params.images, size), seconds(params, size), params.noises)
    teacher = Teacher.load(params.teacher)
    write_report(work.url, measured, store, teacher, training_losses(params), provenance(work))
    store.seal()


def sample_store(params: EvaluateParameters, work: Work) -> LatentStore:
    shape = TeacherShape.read(params.teacher)
    channels, height, width = shape.latent_shape(work.identity.parameters["size"])
    arrays = {}
    for contender in CONTENDERS:
        arrays[f"latents_{contender.key}"] = ArraySpec.latent(height, width, channels)
        arrays[f"features_{contender.key}"] = ArraySpec((FEATURE_WIDTH,), "float32", ("feature",))
    _, count = fingerprint_rows(samples(params))
    return LatentStore.create(
        work.url,
        arrays,
        index_tables(samples(params), params.shard_rows),
        count=count,
        shard_rows=params.shard_rows,
        provenance=provenance(work),
    )


def real_features(images: str, size: int) -> Any:
    """Features (N, 1280) of the real images that can be read."""
    network = ImageFeatures()
    features, uris = [], [row["uri"] for row in scan_images(images)]
    for start in range(0, len(uris), 32):
        pixels = []
        for data in read_images(uris[start : start + 32]):
            try:
                pixels.append(decode_image(data, size))
            except RejectedImageError:
                continue
        x_BCHW = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
        features.append(network(x_BCHW).numpy())
    return np.concatenate(features)


def seconds(params: EvaluateParameters, size: int) -> dict[str, float]:
    """Wall time an image of each contender, alone on this machine's device."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    teacher = Teacher.load(params.teacher, device)
    captions = [row["caption"] for row in scan_captions(params.captions, TIMED_IMAGES)]
    crf = load_crf(params.crf).eval().to(device)
    return seconds_per_image(teacher, crf, captions, params.guidance, size, TIMED_ROUNDS)


def training_losses(params: EvaluateParameters) -> dict[str, list[dict[str, float]]]:
    """Loss curves of both training stages, where their outputs are at hand."""
    from storage.identity import read_identity

    stage_1 = read_identity(params.crf).inputs["train"]
    root = params.crf.rstrip("/").rsplit("/", 2)[0]
    urls = {"train": locations.join(root, "train", stage_1), "distill": params.crf}
    found = {name: locations.join(url, "losses.json") for name, url in urls.items()}
    return {name: locations.read_json(url) for name, url in found.items() if locations.exists(url)}


EVALUATE = Stage("evaluate", identify, compute)


@flow(name="evaluate")
def evaluate(params: EvaluateParameters) -> StageResult:
    """Teacher, CRF, captions and real images -> table, plots and contact sheet."""
    result = run_stage(EVALUATE, params, params.root)
    publish(result.url)
    return prefect_state(result)  # type: ignore[return-value]
