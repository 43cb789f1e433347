"""evaluate: teacher, CRF, held-out captions and images -> the table, with every control."""

from collections.abc import Iterator

from prefect import flow

from crf.evaluation.methods import FEATURE_WIDTH, FEATURES, list_methods
from crf.teacher.folder import TeacherShape, teacher_fingerprints
from flows.parameters import EvaluateParameters
from flows.progress import Progress
from flows.report.artifacts import publish
from flows.shards.blocks import SeedRows
from flows.shards.job import fill_store
from flows.stage import Stage, StageResult, Target, Work, input_fingerprint, prefect_state, provenance, run_stage
from storage import ArraySpec, Identity, LatentStore
from storage.errors import UserError
from storage.identity import check_unchanged, fingerprint_rows
from storage.inputs.captions import scan_captions
from storage.inputs.images import scan_images
from storage.inputs.known_rows import read_known_rows
from storage.inputs.rows import Row
from storage.store.index import index_tables

MODEL = "crf.stages.evaluate:CompareMethods"


def samples(params: EvaluateParameters) -> Iterator[Row]:
    """A row for every noise of every caption; the noises of a caption stand together.

    The table compares contenders on all of them, so a caption that cannot be used is a UserError.
    """
    for row in scan_captions(params.captions, params.limit):
        if row["reason"]:
            found = f"row {row['id']}: {row['reason']}"
            raise UserError("captions that can be used", found, "correct the row or remove it")
        for number in range(params.noises):
            yield {**row, "id": f"{row['id']}/noise-{number}", "uri": row["id"]}


def identify(params: EvaluateParameters) -> Target:
    size = TeacherShape.read(params.teacher).side(params.size)
    captions, shards = fingerprint_rows(samples(params), params.shard_rows)
    images, _ = fingerprint_rows(scan_images(params.images, root=params.root), params.shard_rows)
    teacher = {f"teacher.{part}": value for part, value in teacher_fingerprints(params.teacher).items()}
    inputs = {"distill": input_fingerprint(params.crf), "captions": captions, "images": images, **teacher}
    rows = {method.label: str(method.schedule) for method in list_methods(params.lead)}
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance_scale": params.guidance_scale,
        "seed": params.seed,
        "noises": params.noises,
        "methods": rows,
        "features": FEATURES,
    }
    # Only the report depends on the images.
    return Target.store(Identity("evaluate", 3, inputs, parameters), shards, "captions", "images")


def compute(params: EvaluateParameters, work: Work, progress: Progress) -> None:
    from crf.teacher.teacher import Teacher
    from flows.crf_files import local_crf, read_config
    from flows.report.measurements import real_features, seconds, training_losses
    from flows.report.table import measure
    from flows.report.writing import PRODUCTS, write_report

    store = sample_store(params, work)
    size = work.identity.parameters["size"]
    with local_crf(params.crf) as crf_path:
        arguments = {
            "teacher_path": params.teacher,
            "crf_path": crf_path,
            "guidance_scale": params.guidance_scale,
            "size": size,
            "lead": params.lead,
        }
        fill_store(store, work.shards, SeedRows(params.seed), MODEL, arguments, progress)
    images = check_unchanged(read_known_rows(params.images, params.root), work.identity.inputs["images"])
    real_ND, timed = real_features(images, size), seconds(params, size)
    measured = measure(store, list_methods(params.lead), real_ND, timed, params.noises)
    teacher = Teacher.load(params.teacher)
    made = provenance(work, crf=read_config(params.crf))
    write_report(work.url, measured, store, teacher, training_losses(params), made)
    store.seal(PRODUCTS)


def sample_store(params: EvaluateParameters, work: Work) -> LatentStore:
    shape = TeacherShape.read(params.teacher)
    channels, height, width = shape.latent_shape(work.identity.parameters["size"])
    arrays = {}
    for method in list_methods(params.lead):
        arrays[f"latents_{method.key}"] = ArraySpec.latent(height, width, channels)
        arrays[f"features_{method.key}"] = ArraySpec((FEATURE_WIDTH,), "float32", ("feature",))
    return LatentStore.create(
        work.url,
        arrays,
        index_tables(check_unchanged(samples(params), work.identity.inputs["captions"]), params.shard_rows),
        shard_rows=params.shard_rows,
        provenance=provenance(work),
    )


EVALUATE = Stage("evaluate", identify, compute)


@flow(name="evaluate")
def evaluate(params: EvaluateParameters) -> StageResult:
    """Teacher, CRF, captions and real images -> table, plots and contact sheet."""
    result = run_stage(EVALUATE, params, params.root)
    publish(result.url)
    return prefect_state(result)  # type: ignore[return-value]
