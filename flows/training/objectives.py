"""The objectives of the two training stages: initial CRF, trainer config and batches. Each worker builds its own."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_lead_end, find_lead_path
from crf.schedule import PAPERS_LEAD, TEACHER_SPLIT, TEACHER_STEPS, Schedule
from crf.stages.arrays import (
    LATENTS,
    LEAD_STATE,
    LEAD_X0,
    ROLLOUT_GAIN,
    ROLLOUT_LATENTS,
    ROLLOUT_NEXT,
    ROLLOUT_STATE,
    ROLLOUT_X0,
    STEP_40,
    STEP_50,
    TAIL_STATE,
    TEXT,
    X0_40,
)
from crf.teacher.noise_schedule import read_noise_schedule
from crf.training.pairs import Pairs, aim_at_tail, make_noisy_pairs, make_rollout_pairs, make_teacher_pairs
from crf.training.trainer import TrainerConfig
from flows.parameters.training import DistillParameters, TrainParameters
from flows.shards.teachers import read_shape
from flows.training.batches import Share, check_rows, read_batches
from flows.training.crf_files import load_crf, read_config
from storage import LatentStore, UserError

# `observed` -> the arrays of the observed state and of the x0 prediction there; `target` -> the array of the target.
OBSERVED = {
    "teacher": (STEP_40, X0_40),
    "lead": (LEAD_STATE, LEAD_X0),
    "rollout": (ROLLOUT_STATE, ROLLOUT_X0),
}
TARGETS = {"step_50": STEP_50, "tail": TAIL_STATE, "next": ROLLOUT_NEXT}


class Objective(Protocol):
    """What to train, and on which data. Depends only on the options, the step and the share."""

    @property
    def options(self) -> TrainParameters | DistillParameters:
        """The optimizer options, which both stages have."""

    def check(self) -> None:
        """Raise UserError if the inputs cannot be trained on. Loads no model."""

    def make_trainer_config(self) -> TrainerConfig:
        """Return the trainer's config."""

    def build_crf(self) -> LatentCRF:
        """Return the CRF as it is before the first step. New weights are drawn from torch's global generator."""

    def read_pairs(self, first_step: int, share: Share, device: torch.device) -> Iterator[Pairs]:
        """Yield this worker's batches without end, one per step, starting with step ``first_step``.

        ``device``: the one that the CRF trains on.
        """


@dataclass(frozen=True)
class DenoisingObjective:
    """Stage 1: infer natural latents from noisy ones, with a denoising and an adversarial loss."""

    options: TrainParameters

    def check(self) -> None:
        store = LatentStore.open(self.options.latents)
        if {LATENTS, TEXT} - set(store.names):
            found = f"one with {', '.join(store.names)} at {store.url}"
            raise UserError("a natural store, made by encode", found, "give the URL that encode printed as --latents")
        check_rows(self.options.latents, self.options.workers)

    def make_trainer_config(self) -> TrainerConfig:
        return TrainerConfig(**pick_common_options(self.options), adversarial_weight=self.options.adversarial_weight)

    def build_crf(self) -> LatentCRF:
        store = LatentStore.open(self.options.latents)
        _, height, width, channels = store[LATENTS].shape
        text_width = store[TEXT].shape[1]
        shape: dict[str, Any] = {"height": height, "width": width, "channels": channels, "text_width": text_width}
        return LatentCRF(LatentCRFConfig(**shape, **asdict(self.options.crf)))

    def read_pairs(self, first_step: int, share: Share, device: torch.device) -> Iterator[Pairs]:
        stored = read_batches(self.options.latents, [LATENTS, TEXT], self.options.seed, first_step, share)
        return make_noisy_pairs(
            stored,
            read_noise_schedule(read_shape(self.options.teacher).scheduler_config),
            (self.options.noise_from, self.options.noise_to),
            self.options.seed,
            first_step=first_step,
            rank=share.rank,
            with_x0=self.options.crf.crf_input != "state",
        )


@dataclass(frozen=True)
class DistillationObjective:
    """Stage 2: distill the teacher's late steps into the stage-1 CRF."""

    options: DistillParameters

    def check(self) -> None:
        check_rows(self.options.pairs, self.options.workers)
        config = read_config(self.options.initial)
        if self.options.observed != "rollout":
            check_is_stored(config)
        state, _ = self.choose_observed()
        self.choose_target_map()
        check_shape(self.options, state)

    def make_trainer_config(self) -> TrainerConfig:
        return TrainerConfig(**pick_common_options(self.options))

    def build_crf(self) -> LatentCRF:
        crf = load_crf(self.options.initial)
        if self.options.observed == "rollout":
            crf.record_place(None, None, str(self.find_rollout()))
        else:
            crf.record_place(self.find_lead(), self.find_tail())
        return crf

    def read_pairs(self, first_step: int, share: Share, device: torch.device) -> Iterator[Pairs]:
        if self.options.observed == "rollout":
            return self.read_rollouts(first_step, share)
        (state, x0), target = self.choose_observed(), TARGETS[self.options.target]
        names = [state, *([x0] if x0 else []), target, TEXT]
        stored = read_batches(self.options.pairs, names, self.options.seed, first_step, share)
        target_map = self.choose_target_map()
        return make_teacher_pairs(stored, state=state, x0=x0, target=target, find_target=target_map)

    def read_rollouts(self, first_step: int, share: Share) -> Iterator[Pairs]:
        """Yield this worker's batches of a roll-out."""
        names = [*ROLLOUT_LATENTS, ROLLOUT_GAIN, STEP_50, TEXT]
        stored = read_batches(self.options.pairs, names, self.options.seed, first_step, share)
        schedule, noise_schedule = self.find_rollout(), read_noise_schedule(self.read_provenance()["scheduler"])
        path = find_lead_path(noise_schedule, schedule)
        return make_rollout_pairs(
            stored,
            [path[number - 1] for number in schedule.corrections],
            self.options.seed,
            aims_at_next=self.options.target == "next",
            first_step=first_step,
            rank=share.rank,
        )

    def find_rollout(self) -> Schedule:
        """Return the schedule of the roll-out."""
        return Schedule.parse(self.read_provenance()["parameters"]["rollout"])

    def read_provenance(self) -> dict[str, Any]:
        """Read the provenance of the teacher store."""
        return dict(LatentStore.open(self.options.pairs).provenance)

    def find_lead(self) -> str:
        """Return the lead that runs before this CRF: the paper's, if the CRF observes the teacher's step 40."""
        return str(self.read_provenance()["parameters"]["lead"]) if self.options.observed == "lead" else PAPERS_LEAD

    def find_tail(self) -> int | None:
        """Return the first timestep of the tail that this CRF is trained for, or None."""
        return int(self.read_provenance()["parameters"]["tail"]) if self.options.target == "tail" else None

    def choose_target_map(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Return the function (observed state, state at the tail) -> clean latents to infer; None without a tail.

        Raises UserError if the tail does not start below the timestep of the observed state.
        """
        tail = self.find_tail()
        if tail is None:
            return None
        noise_schedule = read_noise_schedule(self.read_provenance()["scheduler"])
        split_timestep = noise_schedule.path(TEACHER_STEPS)[TEACHER_SPLIT - 1][1]
        lead = Schedule.parse_lead(self.find_lead())
        timestep = split_timestep if self.options.observed == "teacher" else find_lead_end(noise_schedule, lead)
        if tail >= timestep:
            raise UserError(
                f"a tail that starts below timestep {timestep}, at which the CRF runs",
                str(tail),
                "teach again with a lower --tail",
            )
        return lambda state, at_tail: aim_at_tail(noise_schedule, state, timestep, at_tail, tail)

    def choose_observed(self) -> tuple[str, str | None]:
        """Return the names of the arrays to observe: the state, and the x0 prediction or None if the CRF takes none.

        Raises UserError if the teacher store lacks one of them or the target.
        """
        state, x0 = OBSERVED[self.options.observed]
        sees_x0 = read_config(self.options.initial)["crf_input"] != "state"
        wanted = {state, TARGETS[self.options.target], *([x0] if sees_x0 else [])}
        store = LatentStore.open(self.options.pairs)
        if missing := sorted(wanted - set(store.names)):
            raise UserError(
                f"{missing} in {store.url}", f"{store.names}", "teach again with --x0, --lead, --tail or --rollout"
            )
        return state, x0 if sees_x0 else None


def check_shape(options: DistillParameters, state: str) -> None:
    """Raise UserError if the pairs' states, in the array ``state``, do not have the CRF's shape."""
    config, store = read_config(options.initial), LatentStore.open(options.pairs)
    expected = tuple(config[name] for name in ("height", "width", "channels", "text_width"))
    found = (*store[state].shape[-3:], store[TEXT].shape[1])
    if expected != found:
        raise UserError(
            f"pairs of (height, width, channels, text width) {expected}, as the CRF in {options.initial} has",
            f"{found} in {store.url}",
            "train a CRF on a natural store of the same teacher and size",
        )


def check_is_stored(config: dict[str, Any]) -> None:
    """Raise UserError if a CRF observes or is told what only roll-outs store."""
    if config.get("with_timesteps") or config["crf_input"].count("+") > 1:
        raise UserError(
            "roll-outs for a CRF that observes more than x0 and the state or is told timesteps",
            "pairs of one place",
            "teach with --rollout, and distill with --observed rollout",
        )


def pick_common_options(options: TrainParameters | DistillParameters) -> dict[str, Any]:
    """Return the fields of the trainer's config that both stages have."""
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
