"""What each training stage trains, and on what; every worker makes these itself."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch import Tensor

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_lead_end
from crf.schedule import PAPERS_LEAD, TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import LATENTS, LEAD_STATE, LEAD_X0, STEP_40, STEP_50, TAIL_STATE, TEXT, X0_40
from crf.teacher.folder import TeacherShape
from crf.teacher.noise_schedule import read_noise_schedule
from crf.training.pairs import Pairs, Stored, aim_at_tail, make_noisy_pairs, make_teacher_pairs
from crf.training.trainer import TrainerConfig
from flows.crf_files import load_crf, read_config
from flows.parameters import DistillParameters, OptimizerOptions, TrainParameters
from storage import LatentStore, UserError
from storage.store.reader import shuffled_batches

# The arrays of the state and of the x0 prediction there.
OBSERVED = {"teacher": (STEP_40, X0_40), "lead": (LEAD_STATE, LEAD_X0)}
TARGETS = {"step_50": STEP_50, "tail": TAIL_STATE}


@dataclass(frozen=True)
class Share:
    """A worker's part of every batch: ``size`` samples for each of ``ranks`` workers, of which this is ``rank``."""

    rank: int
    ranks: int
    size: int


class Objective(Protocol):
    """A training: everything follows from the parameters, the step and the share."""

    @property
    def options(self) -> OptimizerOptions:
        """The parameters that both stages share."""

    def check(self) -> None:
        """Raise UserError for inputs that no worker could train on."""

    def optimization(self) -> TrainerConfig:
        """The trainer's config."""

    def crf(self) -> LatentCRF:
        """The CRF before its first step; new weights come from torch's global generator."""

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        """Endless batches, one per step, from ``first_step`` on."""


@dataclass(frozen=True)
class Denoise:
    """Stage 1: infer natural latents from noisy versions of them, with an adversary."""

    options: TrainParameters

    def check(self) -> None:
        check_rows(self.options.latents, self.options.workers)

    def optimization(self) -> TrainerConfig:
        return TrainerConfig(**pick_common_options(self.options), adversarial_weight=self.options.adversarial_weight)

    def crf(self) -> LatentCRF:
        store = LatentStore.open(self.options.latents)
        _, height, width, channels = store[LATENTS].shape
        text_width = store[TEXT].shape[1]
        shape: dict[str, Any] = {"height": height, "width": width, "channels": channels, "text_width": text_width}
        return LatentCRF(LatentCRFConfig(**shape, **asdict(self.options.crf)))

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        stored = read_batches(self.options.latents, [LATENTS, TEXT], self.options.seed, first_step, share)
        return make_noisy_pairs(
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
    """Stage 2: distil the teacher's late steps into the stage-1 CRF."""

    options: DistillParameters

    def check(self) -> None:
        check_rows(self.options.pairs, self.options.workers)
        store, (state, _) = LatentStore.open(self.options.pairs), self.observed()
        self.find_target()
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
        return TrainerConfig(**pick_common_options(self.options))

    def crf(self) -> LatentCRF:
        crf = load_crf(self.options.initial)
        crf.record_place(self.lead(), self.tail())
        return crf

    def pairs(self, first_step: int, share: Share) -> Iterator[Pairs]:
        (state, x0), target = self.observed(), TARGETS[self.options.target]
        names = [state, *([x0] if x0 else []), target, TEXT]
        stored = read_batches(self.options.pairs, names, self.options.seed, first_step, share)
        return make_teacher_pairs(stored, state=state, x0=x0, target=target, find_target=self.find_target())

    def taught(self) -> dict[str, Any]:
        """What the teacher store says about its making."""
        return dict(LatentStore.open(self.options.pairs).provenance)

    def lead(self) -> str:
        """What comes before the CRF; the teacher's own step 40 stands for the paper's lead."""
        return str(self.taught()["parameters"]["lead"]) if self.options.observed == "lead" else PAPERS_LEAD

    def tail(self) -> int | None:
        """The timestep of the tail that the CRF is trained for, if any."""
        return int(self.taught()["parameters"]["tail"]) if self.options.target == "tail" else None

    def find_target(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """A map from the observed state and the state at the tail to the clean latents to infer, if there is a tail.

        Raises UserError if the tail does not start below the timestep of the observed state.
        """
        tail = self.tail()
        if tail is None:
            return None
        noise_schedule = read_noise_schedule(self.taught()["scheduler"])
        at_step = noise_schedule.path(TEACHER_STEPS)[TEACHER_SPLIT - 1][1]
        lead = Schedule.parse_lead(self.lead())
        timestep = at_step if self.options.observed == "teacher" else find_lead_end(noise_schedule, lead)
        if tail >= timestep:
            raise UserError(
                f"a tail below timestep {timestep}, where the CRF stands", str(tail), "teach again with a lower --tail"
            )
        return lambda state, at_tail: aim_at_tail(noise_schedule, state, timestep, at_tail, tail)

    def observed(self) -> tuple[str, str | None]:
        """Names of the arrays that this CRF observes: the state and, if it sees it, the x0 prediction.

        Raises UserError if ``teach`` did not store them, or not the target.
        """
        state, x0 = OBSERVED[self.options.observed]
        sees_x0 = read_config(self.options.initial)["crf_input"] != "state"
        wanted = {state, TARGETS[self.options.target], *([x0] if sees_x0 else [])}
        store = LatentStore.open(self.options.pairs)
        if missing := sorted(wanted - set(store.names)):
            raise UserError(f"{missing} in {store.url}", f"{store.names}", "teach again with --x0, --lead or --tail")
        return state, x0 if sees_x0 else None


def pick_common_options(options: TrainParameters | DistillParameters) -> dict[str, Any]:
    """The part of the trainer's config that both stages share."""
    names = (
        "steps",
        "learning_rate",
        "lr_warmup_steps",
        "ema_decay",
        "max_grad_norm",
        "gradient_accumulation_steps",
        "mixed_precision",
        "compile",
    )
    return {name: getattr(options, name) for name in names}


def check_rows(url: str, workers: int) -> None:
    """Raise UserError if a store has no valid row for each worker."""
    valid = int(LatentStore.open(url).valid.sum())
    if valid < max(1, workers):
        raise UserError(f"at least {max(1, workers)} valid rows, one per worker", f"{valid} in {url}", "see its index")


def read_batches(url: str, names: list[str], seed: int, first_step: int, share: Share) -> Iterator[Stored]:
    """A worker's share of the shuffled batches of a store."""
    store = LatentStore.open(url)
    return shuffled_batches(store, names, share.size, seed, start_batch=first_step, rank=share.rank, ranks=share.ranks)
