"""encode: images -> natural store."""

from typing import Any

import numpy as np
from prefect import flow

from crf.encode import EncodeImages
from crf.teacher_folder import TeacherShape, teacher_fingerprints
from flows.parameters import EncodeParameters
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.sharded import compute_shards
from flows.stage import Stage, StageResult, Work, prefect_state, provenance, run_stage, unfinished
from storage import ArraySpec, Identity, LatentStore
from storage.identity import fingerprint_rows
from storage.images import limited, read_images, scan_images
from storage.index import index_tables
from storage.pixels import RejectedImageError, decode_image


class DecodeImages:
    """Index columns -> the same with ``image`` uint8 (B, size, size, 3); a bad image keeps its row, with a reason."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        images = np.full((len(block["row"]), self.size, self.size, 3), 255, dtype=np.uint8)
        for place, data in enumerate(read_images(list(block["uri"]))):
            try:
                images[place] = decode_image(data, self.size)
            except RejectedImageError as error:
                block["valid"][place], block["reason"][place] = False, str(error)
        return {**block, "image": images}


def identify(params: EncodeParameters) -> tuple[Identity, int]:
    """The VAE and the text encoder matter, the U-Net does not."""
    size = params.size or TeacherShape.read(params.teacher).default_size
    teacher = teacher_fingerprints(params.teacher)
    images, count = fingerprint_rows(limited(scan_images(params.images), params.limit))
    inputs = {f"teacher.{part}": teacher[part] for part in ("vae", "text_encoder", "tokenizer")}
    parameters = {"size": size, "shard_rows": params.shard_rows}
    return Identity("encode", 1, {"images": images, **inputs}, parameters), -(-count // params.shard_rows)


def compute(params: EncodeParameters, work: Work, progress: Progress) -> None:
    teacher = TeacherShape.read(params.teacher)
    size = work.identity.parameters["size"]
    channels, height, width = teacher.latent_shape(size)
    _, count = fingerprint_rows(limited(scan_images(params.images), params.limit))
    store = LatentStore.create(
        work.url,
        {"latents": ArraySpec.latent(height, width, channels), "text": ArraySpec.vector(teacher.text_width)},
        index_tables(limited(scan_images(params.images), params.limit), params.shard_rows),
        count=count,
        shard_rows=params.shard_rows,
        provenance=provenance(work, scaling_factor=teacher.scaling_factor),
    )
    arguments = {"teacher_path": params.teacher}
    with ray_session():
        for _ in compute_shards(store, unfinished(store), DecodeImages(size), EncodeImages, arguments):
            progress.advance()
    store.seal()


ENCODE = Stage("encode", identify, compute)


@flow(name="encode")
def encode(params: EncodeParameters) -> StageResult:
    """Images -> natural store of latents and text embeddings."""
    return prefect_state(run_stage(ENCODE, params, params.root))  # type: ignore[return-value]
