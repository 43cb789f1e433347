"""The ``evaluate`` stage: teacher, CRF, held-out captions and images -> a report that compares all methods."""

from prefect import flow

from crf.stages.arrays import TRAJECTORY_STATE
from flows.evaluation.methods import (
    check_front,
    choose_methods,
    choose_own_methods,
    find_baseline,
    fingerprint_front,
    load_front,
)
from flows.evaluation.reference import REFERENCE, ReferenceParameters
from flows.evaluation.sampling import list_models, list_samples, list_tested_captions, sample_methods
from flows.evaluation.seen_captions import check_all_unseen, describe_seen, find_training_index
from flows.parameters.evaluation import EvaluateParameters
from flows.progress import Progress
from flows.protocols.applying import check_inputs
from flows.protocols.named import PROTOCOLS
from flows.report.artifacts import publish_report
from flows.runs.stage_runs import run_as_flow
from flows.shards.samples import read_caption_ids
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.shards.truncation import CAPTIONS, write_truncated
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
from flows.training.crf_files import check_files, load_crf, read_config
from storage import Identity, LatentStore
from storage.errors import UserError
from storage.identity import digest, fingerprint_rows, read_identity
from storage.inputs.captions import scan_captions
from storage.model_files.folders import local_folder
from storage.store.layout import INDEX

# What a shard depends on only through its own rows, or not at all.
REPORT_ONLY = ("captions", "images", "reference", "noises", "vendi_captions", "vendi_noises", "baseline")


def identify(params: EvaluateParameters) -> Target:
    methods = choose_own_methods(params)
    captions = fingerprint_rows(list_samples(params), params.shard_rows)
    reference = REFERENCE.identify(describe_reference(params)).identity
    inputs = {
        **({"distill": parse_fingerprint(params.crf)} if params.crf else {}),
        **({"search": fingerprint_front(params.front)} if params.front else {}),
        "captions": captions.fingerprint,
        "images": reference.inputs["images"],
        "reference": reference.fingerprint,
        **{f"teacher.{part}": value for part, value in fingerprint_parts(params.teacher, params.root).items()},
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
        "dtype": params.dtype,
        "micro_batch": params.micro_batch,
        "caption_test": digest(list_tested_captions(params)) if params.caption_test else None,
    }
    return Target.store(Identity("evaluate", 5, inputs, parameters), captions, *REPORT_ONLY)


def describe_reference(params: EvaluateParameters) -> ReferenceParameters:
    """Return the parameters of the stage that computes the real images' features."""
    size = read_shape(params.teacher).side(params.size)
    return ReferenceParameters(
        images=params.images, size=size, features=params.features, root=params.root, resources=params.resources
    )


def compute(params: EvaluateParameters, work: Work, progress: Progress) -> None:
    from crf.device import choose_device
    from crf.teacher.teacher import Teacher
    from flows.evaluation.costs import measure_costs_on_ray
    from flows.report.assembling import assemble_report
    from flows.report.page.drawing import DRAWN, draw_report
    from flows.report.training_losses import read_training_losses
    from flows.report.writing import REPORT, write_report

    methods = choose_methods(params)
    if params.crf:
        check_files(params.crf)
    store, features = sample_methods(params, work, methods, progress)
    costs, environment = measure_costs_on_ray(
        methods,
        params.resources,
        list_models(params),
        caption=next(scan_captions(params.captions))["caption"],
        guidance_scale=params.guidance_scale,
        size=work.identity.parameters["size"],
        dtype=params.dtype,
    )
    reference = run_stage(REFERENCE, describe_reference(params), params.root)
    if reference.fingerprint != work.identity.inputs["reference"]:
        raise UserError("real images that do not change during a run", "others than at first", "run again")
    real = LatentStore.open(reference.url)
    captions = read_caption_ids(store)
    report = assemble_report(params, work, store, real, captions, methods, costs, environment, features)
    report["truncated_captions"] = write_truncated(store, captions)
    report["seen_captions"] = describe_seen(params)
    report["made"] = describe_provenance(work, crf=read_config(params.crf) if params.crf else None)
    report = write_report(work.url, report)
    losses = read_training_losses(params.crf) if params.crf else {}
    device = choose_device()
    teacher = Teacher.load(local_folder(params.teacher), device)
    crf = load_crf(params.crf).eval().to(device) if params.crf else None
    draw_report(work.url, report, store, teacher, losses, crf, open_trajectories(params))
    store.seal([REPORT, *DRAWN, CAPTIONS])


def open_trajectories(params: EvaluateParameters) -> LatentStore | None:
    """Open the teacher store of the CRF if it holds whole trajectories, for the chart of their variance."""
    index = find_training_index(params)
    store = LatentStore.open(index.removesuffix(INDEX)) if index else None
    return store if store and TRAJECTORY_STATE in store.names else None


def check(params: EvaluateParameters) -> None:
    """Raise UserError for a CRF that ``distill`` did not make for this teacher, and for captions that were seen."""
    if params.protocol:
        check_inputs(PROTOCOLS[params.protocol], params.captions, params.images, params.root)
    if params.crf:
        check_crf(params.crf, params)
    if front := load_front(params.front):
        check_front(front, params.teacher, params.root)
    check_all_unseen(params)


def check_crf(crf: str, params: EvaluateParameters) -> None:
    """Raise UserError unless ``distill`` made the CRF, and for latents and text of the teacher's shape."""
    stage = read_identity(crf).stage
    if stage != "distill":  # the report shows the losses of both training stages
        raise UserError("a stage-2 CRF, made by distill", f"an output of {stage} at {crf}", "run latentcrf distill")
    config, shape = read_config(crf), read_shape(params.teacher)
    expected = tuple(config[name] for name in ("channels", "height", "width", "text_width"))
    found = (*shape.latent_shape(shape.side(params.size)), shape.text_width)
    if expected != found:
        raise UserError(
            f"a teacher of (channels, height, width, text width) {expected}, which the CRF was made for",
            f"{found} in {params.teacher}",
            "give the CRF's own teacher and --size",
        )


EVALUATE = Stage("evaluate", identify, compute, check=check)


@flow(name="evaluate")
def evaluate(params: EvaluateParameters) -> StageResult:
    """Compare the CRF with its teacher and every baseline on held-out captions: table, plots, images."""
    result = run_as_flow(EVALUATE, params, params.root, params.teacher)
    publish_report(result.url)
    return make_prefect_state(result)  # type: ignore[return-value]
