"""The ``measure`` stage: teacher, captions, schedules -> a store of each schedule's error on each sample."""

from prefect import flow

from crf.schedule import Schedule
from crf.stages.arrays import CONVERGED_MSE, LATENT_MSE
from flows.parameters.evaluation import MeasureParameters
from flows.progress import Progress
from flows.runs.stage_runs import run_as_flow
from flows.shards.blocks import SeedRows
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.shards.samples import iterate_samples
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state, parse_fingerprint
from flows.training.crf_files import check_files
from storage import ArraySpec, Identity, UserError, locations
from storage.identity import fingerprint_rows

MODEL = "crf.stages.measure:MeasureSchedules"


def identify(params: MeasureParameters) -> Target:
    samples = iterate_samples(params.captions, params.limit, params.noises, params.skip)
    captions = fingerprint_rows(samples, params.shard_rows)
    teacher = {f"teacher.{part}": value for part, value in fingerprint_parts(params.teacher, params.root).items()}
    del teacher["teacher.vae"]  # the errors are those of latents
    crf = {"crf": parse_fingerprint(params.crf)} if params.crf else {}
    inputs = {"captions": captions.fingerprint, **teacher, **crf}
    parameters = {
        "size": read_shape(params.teacher).side(params.size),
        "shard_rows": params.shard_rows,
        "guidance_scale": params.guidance_scale,
        "seed": params.seed,
        "schedules": [str(Schedule.parse(text)) for text in params.schedules],
        "converged": params.converged,
        "dtype": params.dtype,
        "micro_batch": params.micro_batch,
    }
    return Target.store(Identity("measure", 2, inputs, parameters), captions, "captions")


def check(params: MeasureParameters) -> None:
    """Raise UserError if a schedule needs a CRF and there is none, ScheduleError if the teacher cannot run one."""
    from crf.sampling.paths import list_timesteps
    from crf.teacher.noise_schedule import read_noise_schedule

    noise_schedule = read_noise_schedule(read_shape(params.teacher).scheduler_config)
    for text in params.schedules:
        schedule = Schedule.parse(text)
        list_timesteps(noise_schedule, schedule)
        if schedule.crfs and params.crf is None:
            raise UserError(f"a CRF for the schedule '{schedule}'", "none", "add --crf")


def compute(params: MeasureParameters, work: Work, progress: Progress) -> None:
    options = work.identity.parameters
    count = len(options["schedules"])
    arrays = {LATENT_MSE: ArraySpec((count,), "float32", ("schedule",))}
    if params.converged:
        arrays[CONVERGED_MSE] = ArraySpec((count + 1,), "float32", ("reference_and_schedule",))
    samples = iterate_samples(params.captions, params.limit, params.noises, params.skip)
    store = create_store(work, arrays, "captions", samples)
    passed = ("guidance_scale", "size", "schedules", "converged", "dtype", "micro_batch")
    arguments = {**{name: options[name] for name in passed}, "compiled": params.resources.compile}
    folders = {"teacher_path": params.teacher}
    if params.crf:
        check_files(params.crf)
        folders["crf_path"] = locations.make_absolute(params.crf)
    model = ModelSpec(MODEL, arguments, folders)
    fill_store(store, work.shards, SeedRows(params.seed), model, params.resources, progress)
    store.seal([])


MEASURE = Stage("measure", identify, compute, check=check)


@flow(name="measure")
def measure(params: MeasureParameters) -> StageResult:
    """Measure how far schedules end from the teacher's own 50 steps, on the same captions and noises."""
    return make_prefect_state(run_as_flow(MEASURE, params, params.root, params.teacher))  # type: ignore[return-value]
