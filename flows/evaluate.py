"""The ``evaluate`` stage: teacher, CRF, held-out captions and images -> a report that compares all methods."""

from collections.abc import Iterator

from prefect import flow

from crf.evaluation.methods import FEATURE_WIDTH, FEATURES, Method, list_methods
from crf.schedule import Schedule
from crf.stages.arrays import TRUNCATED
from crf.teacher.folder import TeacherShape, fingerprint_teacher
from flows.crf_files import choose_lead, read_config
from flows.parameters import EvaluateParameters
from flows.progress import Progress
from flows.protocols.applying import check_inputs
from flows.protocols.named import PROTOCOLS
from flows.report.artifacts import publish
from flows.shards.blocks import SeedRows
from flows.shards.job import create_store, fill_store
from flows.shards.truncation import CAPTIONS, TRUNCATED_SPEC, write_truncated
from flows.stage import (
    Stage,
    StageResult,
    Target,
    Work,
    describe_provenance,
    make_prefect_state,
    parse_fingerprint,
    run_stage,
)
from storage import ArraySpec, Identity, LatentStore, locations
from storage.errors import UserError
from storage.identity import check_unchanged, fingerprint_rows, read_identity
from storage.inputs.captions import scan_captions
from storage.inputs.images import scan_images
from storage.inputs.known_rows import read_known_rows
from storage.inputs.rows import Row

MODEL = "crf.stages.evaluate:CompareMethods"


def iterate_samples(params: EvaluateParameters) -> Iterator[Row]:
    """Yield one row per sample: each caption's noises, one after another.

    Raises UserError for a rejected caption, because the table compares the methods on all samples.
    """
    for row in scan_captions(params.captions, params.limit):
        if row["reason"]:
            found = f"row {row['id']}: {row['reason']}"
            raise UserError("captions of which none is rejected", found, "correct the row or remove it")
        for number in range(params.noises):
            yield {**row, "id": f"{row['id']}/noise-{number}", "uri": row["id"]}


def identify(params: EvaluateParameters) -> Target:
    size = TeacherShape.read(params.teacher).side(params.size)
    captions, shards = fingerprint_rows(iterate_samples(params), params.shard_rows)
    images, _ = fingerprint_rows(scan_images(params.images, root=params.root), params.shard_rows)
    teacher = {f"teacher.{part}": value for part, value in fingerprint_teacher(params.teacher).items()}
    inputs = {"distill": parse_fingerprint(params.crf), "captions": captions, "images": images, **teacher}
    lead, tail = find_place(params)
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance_scale": params.guidance_scale,
        "seed": params.seed,
        "noises": params.noises,
        "lead": lead,
        "tail": tail,
        "features": FEATURES,
    }
    # Shards do not depend on the images, only the report does.
    return Target.store(Identity("evaluate", 3, inputs, parameters), shards, "captions", "images")


def find_place(params: EvaluateParameters) -> tuple[str, int | None]:
    """Return the lead and the tail's first timestep to compare on: the given ones or, by default, the CRF's own.

    A pipeline always gives them, because it plans before the CRF exists. Raises UserError if the given lead is
    not the CRF's own.
    """
    if params.lead and not locations.exists(locations.join(params.crf, "config.json")):
        return str(Schedule.parse_lead(params.lead)), params.tail
    config = read_config(params.crf)
    lead = choose_lead(config, params.lead, params.ignore_mismatched_lead)
    return lead, params.tail or config.get("tail")


def compute(params: EvaluateParameters, work: Work, progress: Progress) -> None:
    from crf.teacher.noise_schedule import read_noise_schedule
    from crf.teacher.teacher import Teacher
    from flows.crf_files import fetch_crf
    from flows.report.measurements import compute_real_features, measure_seconds, read_training_losses
    from flows.report.table import measure
    from flows.report.writing import PRODUCTS, write_report

    size, lead, tail = (work.identity.parameters[name] for name in ("size", "lead", "tail"))
    noise_schedule = read_noise_schedule(TeacherShape.read(params.teacher).scheduler_config)
    methods = list_methods(lead, noise_schedule, tail)
    store = create_sample_store(params, work, methods)
    with fetch_crf(params.crf) as crf_path:
        arguments = {
            "teacher_path": params.teacher,
            "crf_path": crf_path,
            "guidance_scale": params.guidance_scale,
            "size": size,
            "lead": lead,
            "tail": tail,
        }
        fill_store(store, work.shards, SeedRows(params.seed), MODEL, arguments, progress)
    images = check_unchanged(read_known_rows(params.images, params.root), work.identity.inputs["images"])
    real_ND, timed = compute_real_features(images, size), measure_seconds(params, size, methods)
    measured = measure(store, methods, real_ND, timed, params.noises)
    teacher = Teacher.load(params.teacher)
    truncated = write_truncated(store, params.noises)
    made = describe_provenance(work, crf=read_config(params.crf))
    write_report(work.url, measured, store, teacher, read_training_losses(params), made, truncated)
    store.seal([*PRODUCTS, CAPTIONS])


def check(params: EvaluateParameters) -> None:
    """Raise UserError unless ``distill`` made the CRF, and for latents and text of the teacher's shape."""
    if params.protocol:
        check_inputs(PROTOCOLS[params.protocol], params.captions, params.images, params.root)
    stage = read_identity(params.crf).stage
    if stage != "distill":  # the report shows the losses of both training stages
        found = f"an output of {stage} at {params.crf}"
        raise UserError("a stage-2 CRF, made by distill", found, "run latentcrf distill")
    config, shape = read_config(params.crf), TeacherShape.read(params.teacher)
    expected = tuple(config[name] for name in ("channels", "height", "width", "text_width"))
    found_shape = (*shape.latent_shape(shape.side(params.size)), shape.text_width)
    if expected != found_shape:
        raise UserError(
            f"a teacher of (channels, height, width, text width) {expected}, which the CRF was made for",
            f"{found_shape} in {params.teacher}",
            "give the CRF's own teacher and --size",
        )


def create_sample_store(params: EvaluateParameters, work: Work, methods: tuple[Method, ...]) -> LatentStore:
    """Create the store of every method's latents and features."""
    shape = TeacherShape.read(params.teacher)
    channels, height, width = shape.latent_shape(work.identity.parameters["size"])
    arrays = {TRUNCATED: TRUNCATED_SPEC}
    for method in methods:
        arrays[f"latents_{method.key}"] = ArraySpec.latent(height, width, channels)
        arrays[f"features_{method.key}"] = ArraySpec((FEATURE_WIDTH,), "float32", ("feature",))
    return create_store(work, arrays, "captions", iterate_samples(params))


EVALUATE = Stage("evaluate", identify, compute, check=check)


@flow(name="evaluate")
def evaluate(params: EvaluateParameters) -> StageResult:
    """Compare the CRF with its teacher and every baseline on held-out captions: table, plots, images."""
    result = run_stage(EVALUATE, params, params.root)
    publish(result.url)
    return make_prefect_state(result)  # type: ignore[return-value]
