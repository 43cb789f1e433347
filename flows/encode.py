"""The ``encode`` stage: images -> natural store."""

from prefect import flow

from crf.stages.arrays import LATENTS, TEXT, TRUNCATED
from flows.parameters.latents import EncodeParameters
from flows.progress import Progress
from flows.report.sample_grid import publish_grid
from flows.runs.stage_runs import run_as_flow
from flows.shards.blocks import DecodeImages
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.shards.truncation import CAPTIONS, TRUNCATED_SPEC, write_truncated
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state
from storage import ArraySpec, Identity
from storage.identity import fingerprint_rows
from storage.inputs.images import scan_images
from storage.inputs.known_rows import read_known_rows


def identify(params: EncodeParameters) -> Target:
    """Return the target. It depends on the VAE and the text encoders, but not on the denoiser."""
    size = read_shape(params.teacher).side(params.size)
    teacher = fingerprint_parts(params.teacher, params.root)
    rows = scan_images(params.images, params.limit, root=params.root)
    images = fingerprint_rows(rows, params.shard_rows)
    inputs = {f"teacher.{p}": teacher[p] for p in teacher if p.startswith(("vae", "text_encoder", "tokenizer"))}
    exactness = params.model_dump(include={"dtype", "micro_batch", "vae_tiling"})
    parameters = {"size": size, "shard_rows": params.shard_rows, **exactness}
    return Target.store(Identity("encode", 4, {"images": images.fingerprint, **inputs}, parameters), images, "images")


def compute(params: EncodeParameters, work: Work, progress: Progress) -> None:
    teacher = read_shape(params.teacher)
    size = work.identity.parameters["size"]
    channels, height, width = teacher.latent_shape(size)
    store = create_store(
        work,
        {
            LATENTS: ArraySpec.latent(height, width, channels),
            TEXT: ArraySpec.vector(teacher.text_width),
            TRUNCATED: TRUNCATED_SPEC,
        },
        "images",
        read_known_rows(params.images, params.root, params.limit),
        scaling_factor=teacher.scaling_factor,
        shift_factor=teacher.shift_factor,
    )
    arguments = params.model_dump(include={"dtype", "micro_batch", "vae_tiling"})
    arguments["compiled"] = params.resources.compile
    model = ModelSpec("crf.stages.encode:EncodeImages", arguments, {"teacher_path": params.teacher})
    fill_store(store, work.shards, DecodeImages(size), model, params.resources, progress)
    publish_grid("encode", store, LATENTS, params.teacher, params.resources)
    write_truncated(store)
    store.seal([CAPTIONS])


ENCODE = Stage("encode", identify, compute, row="images")


@flow(name="encode")
def encode(params: EncodeParameters) -> StageResult:
    """Encode images into a natural store of latents and text embeddings."""
    return make_prefect_state(run_as_flow(ENCODE, params, params.root, params.teacher))  # type: ignore[return-value]
