"""train: natural store -> stage-1 CRF."""

from prefect import flow

from crf.teacher.folder import fingerprint_teacher
from flows.parameters import RUN_OPTIONS, TrainParameters
from flows.progress import Progress
from flows.stage import Stage, StageResult, Target, Work, input_fingerprint, prefect_state, run_stage
from storage import Identity, locations
from storage.checkpoints import find_newest_step


def identify(params: TrainParameters) -> Target:
    inputs = {
        "encode": input_fingerprint(params.latents),
        "teacher.scheduler": fingerprint_teacher(params.teacher)["scheduler"],
    }
    options = params.model_dump(exclude={"latents", "teacher", "root", *RUN_OPTIONS})
    return Target(Identity("train", 3, inputs, options), params.steps)


def compute(params: TrainParameters, work: Work, progress: Progress) -> None:
    from flows.training.job import optimize
    from flows.training.objectives import Denoise

    # Ray Train's workers run in a folder of their own.
    places = {"latents": locations.make_absolute(params.latents), "teacher": locations.make_absolute(params.teacher)}
    optimize(Denoise(params.model_copy(update=places)), work, progress)


TRAIN = Stage("train", identify, compute, unit="steps", done=find_newest_step)


@flow(name="train")
def train(params: TrainParameters) -> StageResult:
    """Natural store -> stage-1 CRF, by denoising and an adversary."""
    return prefect_state(run_stage(TRAIN, params, params.root))  # type: ignore[return-value]
