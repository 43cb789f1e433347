"""The ``train`` stage: natural store -> stage-1 CRF."""

from prefect import flow

from flows.parameters.training import RUN_OPTIONS, TrainParameters
from flows.progress import Progress
from flows.runs.stage_runs import run_as_flow
from flows.shards.teachers import fingerprint_scheduler
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state, parse_fingerprint
from storage import Identity, locations
from storage.checkpoints import find_newest_step
from storage.model_files.folders import find_own_path


def identify(params: TrainParameters) -> Target:
    inputs = {
        "encode": parse_fingerprint(params.latents),
        "teacher.scheduler": fingerprint_scheduler(params.teacher),
    }
    options = params.model_dump(exclude={"latents", "teacher", "root", *RUN_OPTIONS})
    return Target(Identity("train", 3, inputs, options), params.steps)


def compute(params: TrainParameters, work: Work, progress: Progress) -> None:
    from flows.training.job import optimize
    from flows.training.objectives import DenoisingObjective

    # Ray Train's workers have a working directory of their own.
    teacher = find_own_path(params.teacher) or params.teacher
    absolute = {"latents": locations.make_absolute(params.latents), "teacher": teacher}
    optimize(DenoisingObjective(params.model_copy(update=absolute)), work, progress)


def check(params: TrainParameters) -> None:
    from flows.training.job import check_objective
    from flows.training.objectives import DenoisingObjective

    check_objective(DenoisingObjective(params))


TRAIN = Stage("train", identify, compute, unit="steps", count_done=find_newest_step, check=check)


@flow(name="train")
def train(params: TrainParameters) -> StageResult:
    """Train the stage-1 CRF on a natural store, with a denoising and an adversarial loss."""
    return make_prefect_state(run_as_flow(TRAIN, params, params.root, params.teacher))  # type: ignore[return-value]
