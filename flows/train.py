"""train: natural store -> stage-1 CRF."""

from prefect import flow

from crf.teacher_folder import TeacherShape, teacher_fingerprints
from flows.parameters import TrainParameters
from flows.progress import Progress
from flows.stage import Stage, StageResult, Work, input_fingerprint, prefect_state, run_stage
from storage import Identity, LatentStore
from storage.reader import shuffled_batches


def identify(params: TrainParameters) -> tuple[Identity, int]:
    inputs = {
        "encode": input_fingerprint(params.latents),
        "teacher.scheduler": teacher_fingerprints(params.teacher)["scheduler"],
    }
    options = params.model_dump(exclude={"latents", "teacher", "root"})
    return Identity("train", 1, inputs, options), params.steps


def compute(params: TrainParameters, work: Work, progress: Progress) -> None:
    import torch

    from crf.config import LatentCRFConfig
    from crf.ddim import NoiseLevels
    from crf.model import LatentCRF
    from crf.training import Optimization, noisy_pairs
    from flows.optimize import optimize

    store = LatentStore.open(params.latents)
    _, height, width, channels = store["latents"].shape
    torch.manual_seed(params.seed)
    config = LatentCRFConfig(
        height=height, width=width, channels=channels, text_width=store["text"].shape[1], **params.crf.model_dump()
    )
    stored = shuffled_batches(store, ["latents", "text"], params.batch_size, params.seed)
    levels = NoiseLevels(TeacherShape.read(params.teacher).scheduler_config)
    batches = noisy_pairs(stored, levels, (params.noise_from, params.noise_to), params.seed)
    optimization = Optimization(
        params.steps, params.learning_rate, params.warm_up_steps, adversarial_weight=params.adversarial_weight
    )
    optimize(LatentCRF(config), batches, optimization, work, progress)


TRAIN = Stage("train", identify, compute)


@flow(name="train")
def train(params: TrainParameters) -> StageResult:
    """Natural store -> stage-1 CRF, by denoising and an adversary."""
    return prefect_state(run_stage(TRAIN, params, params.root))  # type: ignore[return-value]
