"""distill: teacher store and stage-1 CRF -> stage-2 CRF."""

from prefect import flow

from flows.parameters import DistillParameters
from flows.progress import Progress
from flows.stage import Stage, StageResult, Work, input_fingerprint, prefect_state, run_stage
from storage import Identity, LatentStore
from storage.reader import shuffled_batches


def identify(params: DistillParameters) -> tuple[Identity, int]:
    inputs = {"teach": input_fingerprint(params.pairs), "train": input_fingerprint(params.initial)}
    return Identity("distill", 1, inputs, params.model_dump(exclude={"pairs", "initial", "root"})), params.steps


def compute(params: DistillParameters, work: Work, progress: Progress) -> None:
    import torch

    from crf.training import Optimization, teacher_pairs
    from flows.checkpoints import load_crf
    from flows.optimize import optimize

    store = LatentStore.open(params.pairs)
    torch.manual_seed(params.seed)
    stored = shuffled_batches(store, ["step_40", "step_50", "text"], params.batch_size, params.seed)
    optimization = Optimization(params.steps, params.learning_rate, params.warm_up_steps)
    optimize(load_crf(params.initial), teacher_pairs(stored), optimization, work, progress)


DISTILL = Stage("distill", identify, compute)


@flow(name="distill")
def distill(params: DistillParameters) -> StageResult:
    """Teacher store and stage-1 CRF -> the CRF that replaces the late steps."""
    return prefect_state(run_stage(DISTILL, params, params.root))  # type: ignore[return-value]
