"""distill: teacher store and stage-1 CRF -> stage-2 CRF."""

from prefect import flow

from flows.parameters import RUN_OPTIONS, DistillParameters
from flows.progress import Progress
from flows.stage import Stage, StageResult, Target, Work, input_fingerprint, prefect_state, run_stage
from storage import Identity, locations
from storage.checkpoints import find_newest_step


def identify(params: DistillParameters) -> Target:
    inputs = {"teach": input_fingerprint(params.pairs), "train": input_fingerprint(params.initial)}
    options = params.model_dump(exclude={"pairs", "initial", "root", *RUN_OPTIONS})
    return Target(Identity("distill", 3, inputs, options), params.steps)


def compute(params: DistillParameters, work: Work, progress: Progress) -> None:
    from flows.training.job import optimize
    from flows.training.objectives import Distil

    # Ray Train's workers run in a folder of their own.
    places = {"pairs": locations.make_absolute(params.pairs), "initial": locations.make_absolute(params.initial)}
    optimize(Distil(params.model_copy(update=places)), work, progress)


DISTILL = Stage("distill", identify, compute, unit="steps", done=find_newest_step)


@flow(name="distill")
def distill(params: DistillParameters) -> StageResult:
    """Teacher store and stage-1 CRF -> the CRF that replaces the late steps."""
    return prefect_state(run_stage(DISTILL, params, params.root))  # type: ignore[return-value]
