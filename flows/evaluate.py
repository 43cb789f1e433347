"""The ``evaluate`` stage: teacher, CRF, held-out captions and images -> a report that compares all methods."""

from collections.abc import Iterator
from contextlib import nullcontext

from prefect import flow

from crf.evaluation.methods import Method
from crf.stages.arrays import TRUNCATED, name_values
from crf.teacher.folder import TeacherShape, fingerprint_teacher
from flows.crf_files import fetch_crf, read_config
from flows.evaluation.features import describe_features
from flows.evaluation.methods import choose_methods, find_baseline
from flows.evaluation.reference import REFERENCE, ReferenceParameters
from flows.evaluation.seen_captions import check_unseen_by_crf, find_teacher_index
from flows.parameters import EvaluateParameters
from flows.progress import Progress
from flows.protocols.applying import check_inputs
from flows.protocols.named import PROTOCOLS
from flows.report.artifacts import publish
from flows.samples import iterate_samples, read_caption_ids
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
from storage import ArraySpec, Identity, LatentStore
from storage.errors import UserError
from storage.identity import fingerprint_rows, read_identity
from storage.inputs.captions import scan_captions
from storage.inputs.rows import Row

MODEL = "crf.stages.evaluate:CompareMethods"
# What a shard depends on only through its own rows, or not at all.
REPORT_ONLY = ("captions", "images", "reference", "noises", "vendi_captions", "vendi_noises", "baseline")


def identify(params: EvaluateParameters) -> Target:
    methods = choose_methods(params)
    captions, shards = fingerprint_rows(list_samples(params), params.shard_rows)
    reference = REFERENCE.identify(describe_reference(params)).identity
    inputs = {
        **({"distill": parse_fingerprint(params.crf)} if params.crf else {}),
        **({"search": parse_fingerprint(params.front)} if params.front else {}),
        "captions": captions,
        "images": reference.inputs["images"],
        "reference": reference.fingerprint,
        **{f"teacher.{part}": value for part, value in fingerprint_teacher(params.teacher).items()},
    }
    parameters = {
        "size": reference.parameters["size"],
        "shard_rows": params.shard_rows,
        "guidance_scale": params.guidance_scale,
        "seed": params.seed,
        "noises": params.noises,
        "vendi_captions": params.vendi_captions,
        "vendi_noises": params.vendi_noises,
        "methods": {method.key: str(method.schedule) for method in methods},
        "baseline": find_baseline(params, methods),
        "features": reference.parameters["features"],
        "st_lpips": params.st_lpips,
    }
    return Target.store(Identity("evaluate", 4, inputs, parameters), shards, *REPORT_ONLY)


def list_samples(params: EvaluateParameters) -> Iterator[Row]:
    """Yield the rows of the samples."""
    return iterate_samples(params.captions, params.limit, params.count_noises)


def describe_reference(params: EvaluateParameters) -> ReferenceParameters:
    """Return the parameters of the stage that computes the real images' features."""
    size = TeacherShape.read(params.teacher).side(params.size)
    return ReferenceParameters(images=params.images, size=size, features=params.features, root=params.root)


def compute(params: EvaluateParameters, work: Work, progress: Progress) -> None:
    from crf.teacher.teacher import Teacher
    from flows.evaluation.costs import measure_costs_on_ray
    from flows.report.assembling import assemble_report
    from flows.report.training_losses import read_training_losses
    from flows.report.writing import PRODUCTS, draw_report, write_report

    methods, (features, has_text) = choose_methods(params), describe_features(params.features)
    store = create_sample_store(params, work, methods, features["width"], has_text)
    with fetch_crf(params.crf) if params.crf else nullcontext() as crf_path:
        arguments = {
            "teacher_path": params.teacher,
            "crf_path": crf_path,
            "guidance_scale": params.guidance_scale,
            "size": work.identity.parameters["size"],
        }
        measured = {"methods": methods, "features_path": params.features, "st_lpips": params.st_lpips}
        fill_store(store, work.shards, SeedRows(params.seed), MODEL, {**arguments, **measured}, progress)
        caption = next(scan_captions(params.captions))["caption"]
        costs, environment = measure_costs_on_ray(methods, caption=caption, **arguments)
    real = LatentStore.open(run_stage(REFERENCE, describe_reference(params), params.root).url)
    captions = read_caption_ids(store)
    report = assemble_report(params, work, store, real, captions, methods, costs, environment, features)
    report["truncated_captions"] = write_truncated(store, captions)
    report["seen_captions"] = "none" if params.crf is None or find_teacher_index(params.crf) else "not checked"
    report["made"] = describe_provenance(work, crf=read_config(params.crf) if params.crf else None)
    report = write_report(work.url, report)
    losses = read_training_losses(params.crf) if params.crf else {}
    draw_report(work.url, report, store, Teacher.load(params.teacher), losses)
    store.seal([*PRODUCTS, CAPTIONS])


def check(params: EvaluateParameters) -> None:
    """Raise UserError unless the CRF can be evaluated: by ``distill``, for this teacher, and not on these captions."""
    if params.protocol:
        check_inputs(PROTOCOLS[params.protocol], params.captions, params.images, params.root)
    if params.crf is None:
        return
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
    check_unseen_by_crf(params.captions, params.limit, params.crf)


def create_sample_store(
    params: EvaluateParameters, work: Work, methods: tuple[Method, ...], width: int, has_text: bool
) -> LatentStore:
    """Create the store of every method's latents, features and values per sample.

    ``width``: number of features. ``has_text``: whether the feature network encodes captions, too.
    """
    shape = TeacherShape.read(params.teacher)
    channels, height, side = shape.latent_shape(work.identity.parameters["size"])
    keys = [method.key for method in methods]
    arrays = {TRUNCATED: TRUNCATED_SPEC}
    for key in keys:
        arrays[f"latents_{key}"] = ArraySpec.latent(height, side, channels)
        arrays[f"features_{key}"] = ArraySpec((width,), "float32", ("feature",))
    values = name_values(keys, st_lpips=params.st_lpips, clip_score=has_text)
    return create_store(
        work, arrays | dict.fromkeys(values, ArraySpec((), "float32", ())), "captions", list_samples(params)
    )


EVALUATE = Stage("evaluate", identify, compute, check=check)


@flow(name="evaluate")
def evaluate(params: EvaluateParameters) -> StageResult:
    """Compare the CRF with its teacher and every baseline on held-out captions: table, plots, images."""
    result = run_stage(EVALUATE, params, params.root)
    publish(result.url)
    return make_prefect_state(result)  # type: ignore[return-value]
