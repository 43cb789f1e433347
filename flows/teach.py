"""The ``teach`` stage: captions -> teacher store."""

from prefect import flow

from crf.sampling.paths import check_rollout, count_steps_before, find_rollout_stops
from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import (
    LEAD_STATE,
    LEAD_X0,
    ROLLOUT_GAIN,
    ROLLOUT_LATENTS,
    STEP_40,
    STEP_50,
    TAIL_STATE,
    TEXT,
    TRAJECTORY_PRODUCTS,
    TRAJECTORY_STATE,
    TRAJECTORY_X0,
    TRUNCATED,
    X0_40,
)
from flows.parameters.latents import TeachParameters
from flows.progress import Progress
from flows.report.sample_grid import publish_grid
from flows.runs.stage_runs import run_as_flow
from flows.shards.blocks import SeedRows
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.shards.truncation import CAPTIONS, TRUNCATED_SPEC, write_truncated
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state, parse_fingerprint
from flows.training.crf_files import check_files
from storage import ArraySpec, Identity, locations
from storage.identity import fingerprint_rows
from storage.inputs.captions import scan_captions

MODEL = "crf.stages.teach:TeachTrajectories"


def identify(params: TeachParameters) -> Target:
    check_places(params)
    size = read_shape(params.teacher).side(params.size)
    teacher = {f"teacher.{part}": value for part, value in fingerprint_parts(params.teacher, params.root).items()}
    del teacher["teacher.vae"]  # trajectories stay in latent space
    captions = fingerprint_rows(scan_captions(params.captions, params.limit), params.shard_rows)
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance_scale": params.guidance_scale,
        "seed": params.seed,
        "steps": TEACHER_STEPS,
        "split": TEACHER_SPLIT,
        "x0": params.x0,
        "lead": str(Schedule.parse_lead(params.lead)) if params.lead else None,
        "tail": params.tail,
        "trajectory": params.trajectory,
        "dtype": params.dtype,
        "micro_batch": params.micro_batch,
    }
    inputs = {"captions": captions.fingerprint, **teacher}
    if params.rollout:  # a store without one keeps its fingerprint
        parameters["rollout"] = str(check_rollout(params.rollout))
        inputs |= {"rollout_crf": parse_fingerprint(params.rollout_crf)} if params.rollout_crf else {}
    return Target.store(Identity("teach", 5, inputs, parameters), captions, "captions")


def check_places(params: TeachParameters) -> None:
    """Raise ScheduleError if the tail or the roll-out needs a state that the teacher's 50 steps do not visit."""
    if not params.tail and not params.rollout:
        return
    from crf.teacher.noise_schedule import read_noise_schedule

    noise_schedule = read_noise_schedule(read_shape(params.teacher).scheduler_config)
    if params.tail:
        count_steps_before(noise_schedule, params.tail)
    if params.rollout:
        find_rollout_stops(noise_schedule, check_rollout(params.rollout))


def compute(params: TeachParameters, work: Work, progress: Progress) -> None:
    from crf.teacher.noise_schedule import read_noise_schedule

    teacher = read_shape(params.teacher)
    size = work.identity.parameters["size"]
    channels, height, width = teacher.latent_shape(size)
    names = [STEP_40, STEP_50, *([X0_40] if params.x0 else [])]
    names += [LEAD_STATE, LEAD_X0] if params.lead else []
    names += [TAIL_STATE] if params.tail else []
    latent = ArraySpec.latent(height, width, channels)
    arrays = {**dict.fromkeys(names, latent), TEXT: ArraySpec.vector(teacher.text_width), TRUNCATED: TRUNCATED_SPEC}
    arrays |= list_trajectory_arrays(params.trajectory, latent)
    if params.rollout:
        arrays |= list_rollout_arrays(check_rollout(params.rollout), latent)
    store = create_store(
        work,
        arrays,
        "captions",
        scan_captions(params.captions, params.limit),
        scheduler=teacher.scheduler_config,
        timesteps=read_noise_schedule(teacher.scheduler_config).timesteps(TEACHER_STEPS),
        dtype=params.dtype,
    )
    arguments = params.model_dump(
        include={"guidance_scale", "x0", "lead", "tail", "trajectory", "rollout", "dtype", "micro_batch"}
    )
    arguments |= {"size": size, "compiled": params.resources.compile}
    folders = {"teacher_path": params.teacher}
    if params.rollout_crf:
        check_files(params.rollout_crf)
        folders["crf_path"] = locations.make_absolute(params.rollout_crf)
    model = ModelSpec(MODEL, arguments, folders)
    fill_store(store, work.shards, SeedRows(params.seed), model, params.resources, progress)
    publish_grid("teach", store, STEP_50, params.teacher, params.resources)
    write_truncated(store)
    store.seal([CAPTIONS])


def list_trajectory_arrays(trajectory: str, latent: ArraySpec) -> dict[str, ArraySpec]:
    """List the arrays that hold the whole trajectory."""
    if trajectory == "none":
        return {}
    if trajectory == "products":
        count = 2 * TEACHER_STEPS + 1
        return {TRAJECTORY_PRODUCTS: ArraySpec((count, count), "float64", ("point", "other_point"))}
    states = ArraySpec((TEACHER_STEPS, *latent.row_shape), latent.dtype, ("step", *latent.dimensions))
    return {TRAJECTORY_STATE: states, TRAJECTORY_X0: states}


def list_rollout_arrays(schedule: Schedule, latent: ArraySpec) -> dict[str, ArraySpec]:
    """List the arrays that hold what a CRF meets at its places in a schedule."""
    count = len(schedule.corrections)
    places = ArraySpec((count, *latent.row_shape), latent.dtype, ("place", *latent.dimensions))
    return {**dict.fromkeys(ROLLOUT_LATENTS, places), ROLLOUT_GAIN: ArraySpec((count,), "float32", ("place",))}


TEACH = Stage("teach", identify, compute, row="captions")


@flow(name="teach")
def teach(params: TeachParameters) -> StageResult:
    """Run the teacher on captions and store its latents at steps 40 and 50 of 50."""
    return make_prefect_state(run_as_flow(TEACH, params, params.root, params.teacher))  # type: ignore[return-value]
