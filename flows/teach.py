"""teach: captions -> teacher store."""

from prefect import flow

from crf.schedule import TEACHER_HAND_OVER, TEACHER_STEPS, Schedule
from crf.teacher_folder import TeacherShape, teacher_fingerprints
from flows.blocks import SeedRows
from flows.parameters import TeachParameters
from flows.progress import Progress
from flows.sharded import fill_store
from flows.stage import Stage, StageResult, Target, Work, prefect_state, provenance, run_stage
from storage import ArraySpec, Identity, LatentStore
from storage.captions import scan_captions
from storage.identity import fingerprint_rows, unchanged_rows
from storage.index import index_tables


def identify(params: TeachParameters) -> Target:
    size = TeacherShape.read(params.teacher).side(params.size)
    teacher = {f"teacher.{part}": value for part, value in teacher_fingerprints(params.teacher).items()}
    del teacher["teacher.vae"]  # trajectories never leave latent space
    captions, shards = fingerprint_rows(scan_captions(params.captions, params.limit), params.shard_rows)
    parameters = {
        "size": size,
        "shard_rows": params.shard_rows,
        "guidance": params.guidance,
        "seed": params.seed,
        "steps": TEACHER_STEPS,
        "hand_over": TEACHER_HAND_OVER,
        "x0": params.x0,
        "inference": str(Schedule.parse_lead(params.inference)) if params.inference else None,
    }
    return Target.store(Identity("teach", 2, {"captions": captions, **teacher}, parameters), shards, "captions")


def compute(params: TeachParameters, work: Work, progress: Progress) -> None:
    from crf.levels import read_levels

    teacher = TeacherShape.read(params.teacher)
    size = work.identity.parameters["size"]
    channels, height, width = teacher.latent_shape(size)
    names = ["step_40", "step_50", *(["x0_40"] if params.x0 else [])]
    names += ["inference_state", "inference_x0"] if params.inference else []
    latent = ArraySpec.latent(height, width, channels)
    rows = unchanged_rows(scan_captions(params.captions, params.limit), work.identity.inputs["captions"])
    store = LatentStore.create(
        work.url,
        {**dict.fromkeys(names, latent), "text": ArraySpec.vector(teacher.text_width)},
        index_tables(rows, params.shard_rows),
        shard_rows=params.shard_rows,
        provenance=provenance(
            work,
            scheduler=teacher.scheduler_config,
            timesteps=read_levels(teacher.scheduler_config).timesteps(TEACHER_STEPS),
            dtype="float32",
        ),
    )
    arguments = {"teacher_path": params.teacher, "guidance": params.guidance, "size": size}
    arguments |= {"x0": params.x0, "inference": params.inference}
    fill_store(store, work.shards, SeedRows(params.seed), "crf.teach:TeachTrajectories", arguments, progress)
    store.seal()


TEACH = Stage("teach", identify, compute)


@flow(name="teach")
def teach(params: TeachParameters) -> StageResult:
    """Captions -> teacher store of trajectories' states at steps 40 and 50."""
    return prefect_state(run_stage(TEACH, params, params.root))  # type: ignore[return-value]
