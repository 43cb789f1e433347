"""The ``distill`` stage: teacher store and stage-1 CRF -> stage-2 CRF."""

from typing import TYPE_CHECKING

from prefect import flow

from flows.parameters.training import RUN_OPTIONS, DistillParameters
from flows.progress import Progress
from flows.runs.stage_runs import run_as_flow
from flows.stage import Stage, StageResult, Target, Work, make_prefect_state, parse_fingerprint
from storage import Identity, locations
from storage.checkpoints import find_newest_step

if TYPE_CHECKING:
    from flows.training.objectives import Objective


def identify(params: DistillParameters) -> Target:
    inputs = {"teach": parse_fingerprint(params.pairs), "train": parse_fingerprint(params.initial)}
    options = params.model_dump(exclude={"pairs", "initial", "teacher", "root", *RUN_OPTIONS})
    return Target(Identity("distill", 4, inputs, options), params.steps)


def compute(params: DistillParameters, work: Work, progress: Progress) -> None:
    from flows.training.job import optimize

    # Ray Train's workers have a working directory of their own.
    places = {
        "pairs": params.pairs,
        "initial": params.initial,
        **({"teacher": params.teacher} if params.teacher else {}),
    }
    absolute = {name: locations.make_absolute(url) for name, url in places.items()}
    optimize(choose_objective(params.model_copy(update=absolute)), work, progress)


def check(params: DistillParameters) -> None:
    from flows.training.job import check_objective

    check_objective(choose_objective(params))


def choose_objective(params: DistillParameters) -> "Objective":
    from flows.training.objectives import DistillationObjective
    from flows.training.through import ThroughObjective

    return ThroughObjective(params) if params.through else DistillationObjective(params)


DISTILL = Stage("distill", identify, compute, unit="steps", count_done=find_newest_step, check=check)


@flow(name="distill")
def distill(params: DistillParameters) -> StageResult:
    """Distill the teacher's late steps into the stage-2 CRF, starting from the stage-1 CRF."""
    return make_prefect_state(run_as_flow(DISTILL, params, params.root))  # type: ignore[return-value]
