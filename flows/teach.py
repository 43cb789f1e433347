"""The ``teach`` stage: captions -> teacher store."""

from prefect import flow

from crf.schedule import TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import (
    LEAD_STATE,
    LEAD_X0,
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
from flows.runs.retries import run_with_retries
from flows.shards.blocks import SeedRows
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.shards.teachers import fingerprint_parts, read_shape
from flows.shards.truncation import CAPTIONS, TRUNCATED_SPEC, write_truncated
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state
from storage import ArraySpec, Identity
from storage.identity import fingerprint_rows
from storage.inputs.captions import scan_captions

MODEL = "crf.stages.teach:TeachTrajectories"


def identify(params: TeachParameters) -> Target:
    check_tail(params)
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
    return Target.store(Identity("teach", 5, inputs, parameters), captions, "captions")


def check_tail(params: TeachParameters) -> None:
    """Raise ScheduleError if the tail's first timestep is none of the teacher's 50."""
    if params.tail:
        from crf.sampling.paths import count_steps_before
        from crf.teacher.noise_schedule import read_noise_schedule

        shape = read_shape(params.teacher)
        count_steps_before(read_noise_schedule(shape.scheduler_config), params.tail)


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
        include={"guidance_scale", "x0", "lead", "tail", "trajectory", "dtype", "micro_batch"}
    )
    arguments |= {"size": size, "compiled": params.resources.compile}
    model = ModelSpec(MODEL, arguments, {"teacher_path": params.teacher})
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


TEACH = Stage("teach", identify, compute, row="captions")


@flow(name="teach")
def teach(params: TeachParameters) -> StageResult:
    """Run the teacher on captions and store its latents at steps 40 and 50 of 50."""
    return make_prefect_state(run_with_retries(TEACH, params, params.root))  # type: ignore[return-value]
