"""The parameters of both training stages: ``train`` and ``distill``."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from crf.model.config import CRFOptions
from flows.parameters.base import Options, Root
from flows.parameters.forms import Arranged
from flows.parameters.running import Resources

# Options of how a training runs. They change no bytes, so they are in no fingerprint.
RUN_OPTIONS = {"resources", "workers", "checkpointing_steps", "checkpoints_total_limit"}


class OptimizerOptions(Options):
    """The options of both training stages. The workers share each batch: their number does not change its size."""

    batch_size: int = Field(16, ge=1, description="samples per step, over all workers")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are the result")
    max_grad_norm: float = Field(1.0, gt=0, description="clip gradients to this norm")
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="compute each worker's batch in this many parts, to save memory"
    )
    mixed_precision: Literal["no", "bf16"] = Field("no", description="bf16: forward passes in bfloat16")
    compile: bool = Field(False, description="apply torch.compile to the CRF")
    workers: int = Field(
        1, ge=0, description="training processes, each on a GPU if Ray has any; 0: train in this process"
    )
    checkpointing_steps: int = Field(1_000, ge=1, description="steps between checkpoints")
    checkpoints_total_limit: int = Field(3, ge=1, description="number of the newest checkpoints to keep")
    seed: int = Field(0, ge=0, description="determines the initial weights, the order of samples and the noise")


class TrainOptions(OptimizerOptions):
    crf: Annotated[CRFOptions, Arranged()] = Field(default_factory=CRFOptions)
    steps: int = Field(300_000, ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-4, gt=0, description="peak learning rate")
    lr_warmup_steps: int = Field(5_000, ge=0, description="steps of linear warm-up")
    adversarial_weight: float = Field(
        0.1, ge=0, description="weight of the adversarial loss, lambda of the paper's eq. 13"
    )
    noise_from: int = Field(1, ge=0, le=999, description="lowest timestep of the training noise")
    noise_to: int = Field(250, ge=0, le=999, description="highest timestep of the training noise")

    @model_validator(mode="after")
    def _check_noise_range(self) -> Self:
        if self.noise_from > self.noise_to:
            raise ValueError(f"expected noise_from <= noise_to, found {self.noise_from} and {self.noise_to}; swap them")
        return self


class TrainParameters(TrainOptions):
    """Parameters of ``train``: natural store -> stage-1 CRF."""

    latents: str = Field(description="natural store, made by encode")
    teacher: str = Field(description="teacher folder, for its noise schedule")
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)


class DistillOptions(OptimizerOptions):
    steps: int = Field(10_000, ge=1, description="optimizer steps")
    batch_size: int = Field(4, ge=1, description="samples per step, over all workers")
    learning_rate: float = Field(1e-5, gt=0, description="peak learning rate")
    lr_warmup_steps: int = Field(500, ge=0, description="steps of linear warm-up")
    observed: Literal["teacher", "lead", "rollout"] = Field(
        "teacher",
        description="what the CRF observes: the teacher's step 40, the end of the lead given to teach, or what it "
        "meets at its places in the roll-out given to teach",
    )
    target: Literal["step_50", "tail", "next"] = Field(
        "step_50",
        description="what the CRF aims at: the teacher's step 50, the state at the tail given to teach, or, in a "
        "roll-out, the teacher's own next state",
    )

    through: str | None = Field(
        None,
        description="in place of both: train the CRF inside this schedule, such as '2@981,501 + crf', on the "
        "latents at its end, with gradients through the teacher",
    )

    @model_validator(mode="after")
    def _check_through(self) -> Self:
        if self.through and (self.observed, self.target) != ("teacher", "step_50"):
            raise ValueError("expected through without observed and target, found more than it; leave the others out")
        if self.through and self.workers > 1:
            raise ValueError(f"expected at most 1 worker with through, found {self.workers}; lower workers")
        return self

    @model_validator(mode="after")
    def _check_target_is_of_what_is_observed(self) -> Self:
        if (self.target == "next" and self.observed != "rollout") or (
            self.target == "tail" and self.observed == "rollout"
        ):
            raise ValueError(
                f"expected target 'next' with observed 'rollout' alone, and 'tail' without it, found {self.target} and "
                f"{self.observed}; change one"
            )
        return self


class DistillParameters(DistillOptions):
    """Parameters of ``distill``: teacher store and stage-1 CRF -> stage-2 CRF."""

    pairs: str = Field(description="teacher store, made by teach")
    initial: str = Field(description="stage-1 CRF, made by train")
    teacher: str | None = Field(None, description="folder or URL of the teacher of the pairs, for through")
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)

    @model_validator(mode="after")
    def _check_teacher(self) -> Self:
        if bool(self.through) != bool(self.teacher):
            raise ValueError("expected a teacher with through alone, found one of them; give both or leave out both")
        return self
