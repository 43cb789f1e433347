"""The parameters of every stage, for Prefect forms, YAML files and the command line alike.

``...Options`` say how a stage works; ``...Parameters`` add where its inputs are and where its output goes.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crf.model.config import CRFOptions
from flows.protocols.applying import fill_parameters
from flows.protocols.named import ProtocolName

TeacherFolder = Annotated[str, Field(description="teacher folder in diffusers format")]
Root = Annotated[str, Field(description="outputs go to ROOT/STAGE/FINGERPRINT")]


class Options(BaseModel):
    """Base of all parameters. Unknown names are errors, so that a misspelt option is not silently ignored."""

    # Fields that are dataclasses are validated alike; their attributes' docstrings are the descriptions.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class EncodeOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    limit: int | None = Field(None, ge=1, description="use only this many images, from the first on")
    shard_rows: int = Field(512, ge=1, description="samples per shard, the unit of work and resume")


class EncodeParameters(EncodeOptions):
    """Parameters of ``encode``: images -> natural store."""

    images: str = Field(description="image folder, .parquet or WebDataset .tar; any fsspec URL")
    teacher: TeacherFolder
    root: Root = "runs"


class TeachOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    limit: int | None = Field(None, ge=1, description="use only this many captions, from the first on")
    shard_rows: int = Field(512, ge=1, description="samples per shard, the unit of work and resume")
    guidance_scale: float = Field(7.5, ge=1, description="classifier-free guidance scale")
    seed: int = Field(0, ge=0, description="determines each sample's noise, together with its id")
    x0: bool = Field(False, description="also store the x0 prediction at step 40, for a CRF that sees it")
    lead: str | None = Field(
        None, description="also store the state and x0 at the end of this lead: 31/40, or 31@981..201"
    )
    tail: int | None = Field(
        None, ge=1, description="also store the state at this timestep (such as 101), for distill --target tail"
    )
    trajectory: Literal["none", "states", "products"] = Field(
        "none",
        description="also store all 50 states and x0 predictions (states), or their products alone (products): "
        "either serves search",
    )


class TeachParameters(TeachOptions):
    """Parameters of ``teach``: captions -> teacher store."""

    captions: str = Field(description="caption file (.parquet, .json, .jsonl, .tsv, .csv, .txt); any fsspec URL")
    teacher: TeacherFolder
    root: Root = "runs"


# Options of how a training runs. They change no bytes, so they are in no fingerprint.
RUN_OPTIONS = {"workers", "checkpointing_steps", "checkpoints_total_limit"}


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
    crf: CRFOptions = Field(default_factory=CRFOptions)
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


class DistillOptions(OptimizerOptions):
    steps: int = Field(10_000, ge=1, description="optimizer steps")
    batch_size: int = Field(4, ge=1, description="samples per step, over all workers")
    learning_rate: float = Field(1e-5, gt=0, description="peak learning rate")
    lr_warmup_steps: int = Field(500, ge=0, description="steps of linear warm-up")
    observed: Literal["teacher", "lead"] = Field(
        "teacher", description="what the CRF observes: the teacher's step 40, or the end of the lead given to teach"
    )
    target: Literal["step_50", "tail"] = Field(
        "step_50", description="what the CRF aims at: the teacher's step 50, or the state at the tail given to teach"
    )


class DistillParameters(DistillOptions):
    """Parameters of ``distill``: teacher store and stage-1 CRF -> stage-2 CRF."""

    pairs: str = Field(description="teacher store, made by teach")
    initial: str = Field(description="stage-1 CRF, made by train")
    root: Root = "runs"


class ProtocolOptions(Options):
    """Base of options that a named protocol can set."""

    protocol: ProtocolName | None = Field(
        None, description="named protocol, which sets all options that it fixes, apart from those that you give"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_protocol(cls, values: dict[str, Any]) -> dict[str, Any]:
        return fill_parameters(values, cls.model_fields)


class EvaluateOptions(ProtocolOptions):
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    limit: int | None = Field(None, ge=1, description="use only this many captions, from the first on")
    noises: int = Field(1, ge=1, description="noises per caption")
    vendi_captions: int = Field(8, ge=0, description="number of captions, from the first on, to measure diversity on")
    vendi_noises: int = Field(4, ge=2, description="noises of each of those captions")
    shard_rows: int = Field(
        64, ge=1, description="samples per shard, the unit of work and resume; best a multiple of 16"
    )
    guidance_scale: float = Field(7.5, description="classifier-free guidance scale")
    seed: int = Field(1, ge=0, description="determines each sample's noise, together with its id")
    baseline: str | None = Field(
        None, description="key of the method to compare all others with; by default evenly spaced DDIM"
    )
    schedules: tuple[str, ...] = Field((), description="further schedules to compare, such as '25@981..'")
    features: str | None = Field(
        None,
        description="network to compare images by: a transformers folder (CLIP, SigLIP, DINOv2) or a TorchScript file; "
        "by default EfficientNet-Lite0",
    )
    st_lpips: bool = Field(False, description="also measure ST-LPIPS; needs pip install 'latentcrf[perceptual]'")
    caption_test: int = Field(
        0,
        ge=0,
        description="let the teacher tell so many captions, from the first on, by their images; its cost per image is "
        "three evaluations per caption",
    )

    def count_noises(self, place: int) -> int:
        """Return the number of noises of the caption at ``place``, counted from 0."""
        return max(self.noises, self.vendi_noises) if place < self.vendi_captions else self.noises


class EvaluateParameters(EvaluateOptions):
    """Parameters of ``evaluate``: teacher, CRF, held-out captions and images -> report."""

    crf: str | None = Field(None, description="stage-2 CRF, made by distill; without it, only samplers are compared")
    front: str | None = Field(None, description="output of search: compare the schedules on its front, too")
    lead: str | None = Field(None, description="lead before the CRF; by default the one it was distilled on")
    tail: int | None = Field(
        None, ge=1, description="first timestep of the tail after the CRF; by default the one it was distilled for"
    )
    ignore_mismatched_lead: bool = Field(False, description="accept a lead other than the one the CRF was distilled on")
    captions: str = Field(description="held-out captions")
    images: str = Field(description="held-out real images")
    teacher: TeacherFolder
    root: Root = "runs"


class MeasureParameters(Options):
    """Parameters of ``measure``: teacher, captions and schedules -> the schedules' errors."""

    schedules: list[str] = Field(min_length=1, description="schedules, as in docs/schedules.md")
    captions: str = Field(description="captions to measure on")
    teacher: TeacherFolder
    crf: str | None = Field(None, description="CRF, for the schedules that have one")
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    limit: int | None = Field(None, ge=1, description="use only this many captions, after those that are skipped")
    skip: int = Field(0, ge=0, description="leave out this many captions at the start")
    noises: int = Field(1, ge=1, description="noises per caption")
    converged: bool = Field(False, description="also measure the distance to the converged reference of 100 steps")
    shard_rows: int = Field(8, ge=1, description="samples per shard, the unit of work and resume")
    guidance_scale: float = Field(7.5, description="classifier-free guidance scale")
    seed: int = Field(1, ge=0, description="determines each sample's noise, together with its id")
    root: Root = "runs"


class SearchOptions(Options):
    evaluations: list[int] = Field(
        [33, 25, 17, 12, 10, 8], min_length=1, description="numbers of the teacher's evaluations to search for"
    )
    tolerance: float = Field(
        1.0,
        gt=0,
        description="recommend the cheapest schedule that ends this near to the teacher's 50 steps, as a multiple of "
        "their own distance to the converged reference",
    )
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    first_captions: int = Field(16, ge=2, description="calibration captions of the first round, which drops most")
    calibrate_limit: int | None = Field(None, ge=2, description="use only this many calibration captions")
    select_limit: int | None = Field(None, ge=2, description="use only this many selection captions")
    test_limit: int | None = Field(None, ge=2, description="use only this many test captions")
    shard_rows: int = Field(8, ge=1, description="samples per shard, the unit of work and resume")
    guidance_scale: float = Field(7.5, description="classifier-free guidance scale, as given to teach")
    seed: int = Field(1, ge=0, description="determines each sample's noise, together with its id")


class SearchParameters(SearchOptions):
    """Parameters of ``search``: a teacher and its trajectories -> the front of its fastest schedules."""

    trajectories: str = Field(description="teacher store, made by teach with --trajectory")
    calibrate: str = Field(description="captions that the candidates are raced on")
    select: str = Field(description="captions that the front is chosen on")
    test: str = Field(description="captions that the front is reported on, once")
    teacher: TeacherFolder
    crf: str | None = Field(None, description="CRF, for candidates that have one")
    root: Root = "runs"

    @property
    def caption_sets(self) -> dict[str, tuple[str, int | None]]:
        """The captions of the search and how many of each to use, by what they are for."""
        return {
            "calibrate": (self.calibrate, self.calibrate_limit),
            "select": (self.select, self.select_limit),
            "test": (self.test, self.test_limit),
        }


class PipelineParameters(Options):
    """Parameters of the pipeline, and the options of each stage."""

    teacher: TeacherFolder
    images: str = Field(description="images to encode")
    captions: str = Field(description="captions for the teacher's trajectories")
    heldout_images: str = Field(description="real images to compare with")
    heldout_captions: str = Field(description="captions to evaluate on")
    calibrate_captions: str | None = Field(None, description="captions to race schedules on: adds the search")
    select_captions: str | None = Field(None, description="captions to choose the schedules of the search on")
    front: str | None = Field(None, description="schedule.json of an earlier search, to evaluate its schedules")
    root: Root = "runs"
    encode: EncodeOptions = Field(default_factory=EncodeOptions)
    teach: TeachOptions = Field(default_factory=TeachOptions)
    train: TrainOptions = Field(default_factory=TrainOptions)
    distill: DistillOptions = Field(default_factory=DistillOptions)
    search: SearchOptions = Field(default_factory=SearchOptions)
    evaluate: EvaluateOptions = Field(default_factory=EvaluateOptions)

    @model_validator(mode="after")
    def _check_what_a_search_needs(self) -> Self:
        if bool(self.calibrate_captions) != bool(self.select_captions):
            raise ValueError("expected calibrate_captions and select_captions, found one of them; write both")
        if self.calibrate_captions and self.front:
            raise ValueError("expected a search or a front, found both; leave one out")
        if self.calibrate_captions and self.teach.trajectory == "none":
            raise ValueError("expected teach.trajectory for a search, found none; write products")
        return self

    @model_validator(mode="after")
    def _check_teach_stores_what_distill_reads(self) -> Self:
        if self.distill.observed == "lead" and self.teach.lead is None:
            raise ValueError("expected teach.lead for distill.observed 'lead', found none; write it, such as 31/40")
        if self.distill.target == "tail" and self.teach.tail is None:
            raise ValueError("expected teach.tail for distill.target 'tail', found none; write it, such as 101")
        return self
