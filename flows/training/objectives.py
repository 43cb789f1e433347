"""What each training stage trains and on what, as its workers make it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.stages.arrays import LATENTS, LEAD_STATE, LEAD_X0, STEP_40, STEP_50, TEXT, X0_40
from crf.teacher.folder import TeacherShape
from crf.teacher.noise_schedule import read_noise_schedule
from crf.training.pairs import Pairs, Stored, noisy_pairs, teacher_pairs
from crf.training.trainer import TrainerConfig
from flows.crf_files import load_crf, read_config
from flows.parameters import DistillParameters, OptimizerOptions, TrainParameters
from storage import LatentStore, UserError
from storage.store.reader import shuffled_batches

# The arrays of the state and of the x0 prediction there.
OBSERVED = {"teacher": (STEP_40, X0_40), "inference": (LEAD_STATE, LEAD_X0)}


@dataclass(frozen=True)
class Share:
    """A worker's part of every batch: ``rank`` of ``ranks``, each with ``size`` samples."""

    rank: int
    ranks: int
    size: int


class Objective(Protocol):
    """Everything follows from the parameters, the step and the share."""

    @property
    def options(self) -> OptimizerOptions: ...

    def check(self) -> None:
        """Raises UserError for what no worker could train on."""

    def optimization(self) -> TrainerConfig: ...

    def crf(self) -> LatentCRF:
        """The CRF before its first step; its weights are drawn from torch's global generator, if at all."""

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        """A batch a step, for ever, from ``first_step`` on."""


@dataclass(frozen=True)
class Denoise:
    """Stage 1: natural latents from their noisy versions, and an adversary."""

    options: TrainParameters

    def check(self) -> None:
        check_rows(self.options.latents, self.options.workers)

    def optimization(self) -> TrainerConfig:
        return TrainerConfig(**chosen(self.options), adversarial_weight=self.options.adversarial_weight)

    def crf(self) -> LatentCRF:
        store = LatentStore.open(self.options.latents)
        _, height, width, channels = store[LATENTS].shape
        text_width = store[TEXT].shape[1]
        shape: dict[str, Any] = {"height": height, "width": width, "channels": channels, "text_width": text_width}
        return LatentCRF(LatentCRFConfig(**shape, **self.options.crf.model_dump()))

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        stored = batches(self.options.latents, [LATENTS, TEXT], self.options.seed, first_step, share)
        return noisy_pairs(
            stored,
            read_noise_schedule(TeacherShape.read(self.options.teacher).scheduler_config),
            (self.options.noise_from, self.options.noise_to),
            self.options.seed,
            first_step=first_step,
            rank=share.rank,
            with_x0=self.options.crf.crf_input != "state",
        )


@dataclass(frozen=True)
class Distil:
    """Stage 2: the teacher's late steps, from the stage-1 CRF on."""

    options: DistillParameters

    def check(self) -> None:
        check_rows(self.options.pairs, self.options.workers)
        store, (state, _) = LatentStore.open(self.options.pairs), self.observed()
        config = read_config(self.options.initial)
        made_for = (*(config[name] for name in ("height", "width", "channels")), config["text_width"])
        taught = (*store[state].shape[1:], store[TEXT].shape[1])
        if made_for != taught:
            raise UserError(
                f"pairs of (height, width, channels, text width) {made_for}, which the CRF was made for",
                f"{taught} in {store.url}",
                "train a CRF on a natural store of the same teacher and size",
            )

    def optimization(self) -> TrainerConfig:
        return TrainerConfig(**chosen(self.options))

    def crf(self) -> LatentCRF:
        return load_crf(self.options.initial)

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        state, x0 = self.observed()
        names = [state, *([x0] if x0 else []), STEP_50, TEXT]
        stored = batches(self.options.pairs, names, self.options.seed, first_step, share)
        return teacher_pairs(stored, state=state, x0=x0)

    def observed(self) -> tuple[str, str | None]:
        """The stored arrays that this CRF observes: the state's, and the x0 prediction's if it sees that.

        Raises UserError where ``teach`` did not store them.
        """
        state, x0 = OBSERVED[self.options.observed]
        sees_x0 = read_config(self.options.initial)["crf_input"] != "state"
        wanted = {state, x0} if sees_x0 else {state}
        store = LatentStore.open(self.options.pairs)
        if missing := sorted(wanted - set(store.names)):
            raise UserError(
                f"{missing} in {store.url}", f"{store.names}", "teach again with --x0 and --inference 31/40"
            )
        return state, x0 if sees_x0 else None


def chosen(options: TrainParameters | DistillParameters) -> dict[str, Any]:
    """What both stages' optimization has in common."""
    names = (
        "steps",
        "learning_rate",
        "lr_warmup_steps",
        "ema_decay",
        "max_grad_norm",
        "gradient_accumulation_steps",
        "bf16",
        "compile",
    )
    return {name: getattr(options, name) for name in names}


def check_rows(url: str, workers: int) -> None:
    valid = int(LatentStore.open(url).valid.sum())
    if valid < max(1, workers):
        raise UserError(f"at least {max(1, workers)} valid rows, one a worker", f"{valid} in {url}", "see its index")


def batches(url: str, names: list[str], seed: int, first_step: int, share: Share) -> Iterator[Stored]:
    store = LatentStore.open(url)
    return shuffled_batches(store, names, share.size, seed, start_batch=first_step, rank=share.rank, ranks=share.ranks)
