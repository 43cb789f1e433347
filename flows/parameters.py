"""Every stage's parameters, once: they make the Prefect forms, the YAML files and the command line.

``...Options`` are what may change a stage's bytes; ``...Parameters`` add where its inputs are.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crf.model.config import LatentCRFConfig


class Options(BaseModel):
    """Unknown names are refused: a misspelt parameter is never silently the default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EncodeOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels a side; the teacher's own if not given")
    limit: int | None = Field(None, ge=1, description="only the first so many images")
    shard_rows: int = Field(512, ge=1, description="samples a shard: the unit of work and resume")


class EncodeParameters(EncodeOptions):
    """Images -> natural store: their latents and their captions' text embeddings."""

    images: str = Field(description="image folder, .parquet or WebDataset .tar; any fsspec URL")
    teacher: str = Field(description="teacher folder in diffusers format")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")


class TeachOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels a side; the teacher's own if not given")
    limit: int | None = Field(None, ge=1, description="only the first so many captions")
    shard_rows: int = Field(512, ge=1, description="samples a shard: the unit of work and resume")
    guidance_scale: float = Field(7.5, ge=1, description="classifier-free guidance scale")
    seed: int = Field(0, ge=0, description="with each sample's id, makes its noise")
    x0: bool = Field(False, description="also store x0_40, for a CRF that sees the teacher's x0 prediction")
    inference: str | None = Field(None, description="also store what this lead, such as 31/40, hands over")


class TeachParameters(TeachOptions):
    """Captions -> teacher store: each trajectory's states at steps 40 and 50."""

    captions: str = Field(description="caption file (.parquet, .jsonl, .tsv, .csv, .txt); any fsspec URL")
    teacher: str = Field(description="teacher folder in diffusers format")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")


class CRFOptions(Options):
    heads: int = Field(7, ge=1, description="pairwise similarities")
    hidden: int = Field(2048, ge=1, description="channels of the compatibility network")
    filters: int = Field(1024, ge=1, description="filters of the Field of Experts")
    kernel_size: int = Field(5, ge=1, description="side of those filters")
    iterations: int = Field(5, ge=1, description="mean-field updates")
    with_text: bool = Field(True, description="compatibility conditioned on the caption")
    with_pairwise: bool = Field(True, description="messages along learned similarities")
    with_higher_order: bool = Field(True, description="Field of Experts")
    crf_input: Literal["state", "x0", "x0+state"] = Field("state", description="what the CRF observes")
    potentials: Literal["field", "observed"] = Field("field", description="what the potentials look at")
    expert_weights: Literal["one", "signed"] = Field("one", description="of each filter's expert: one, or learned")
    similarity: Literal["dense", "stationary"] = Field("dense", description="tables, or for large latents none")
    compatibility: Literal["network", "linear"] = Field("network", description="text-conditioned, or the energy's own")
    normalizer: Literal["batch", "exact", "none"] = Field("batch", description="what stands for the inverse")
    norm_statistics: Literal["iteration", "shared"] = Field("iteration", description="batch-norm's, each or all")
    similarity_width: float = Field(1.0, gt=0, description="of the first head's Gaussian at the start, in latents")
    similarity_growth: float = Field(2.0, gt=0, description="how many times wider each next head starts")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        LatentCRFConfig(**self.model_dump())
        return self


# How a training is run: these are in no fingerprint.
RUN_OPTIONS = {"workers", "checkpointing_steps", "checkpoints_total_limit"}


class OptimizerOptions(Options):
    """``batch_size`` is shared out over the workers: a step has as many samples whatever their number."""

    batch_size: int = Field(16, ge=1, description="samples a step, over all workers")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="of the averaged weights, which are the result")
    max_grad_norm: float = Field(1.0, gt=0, description="longest gradient")
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="parts a worker's batch is computed in, to save memory"
    )
    bf16: bool = Field(False, description="forward passes in bfloat16")
    compile: bool = Field(False, description="torch.compile the CRF")
    workers: int = Field(1, ge=0, description="each on a GPU where Ray has them; 0: in this process, on its device")
    checkpointing_steps: int = Field(1_000, ge=1, description="steps between checkpoints")
    checkpoints_total_limit: int = Field(3, ge=1, description="how many of the newest to keep")
    seed: int = Field(0, ge=0, description="first weights, order of the samples, and noise")


class TrainOptions(OptimizerOptions):
    crf: CRFOptions = Field(default_factory=CRFOptions)
    steps: int = Field(300_000, ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-4, gt=0)
    lr_warmup_steps: int = Field(5_000, ge=0)
    adversarial_weight: float = Field(0.1, ge=0, description="lambda of the paper's eq. 13")
    noise_from: int = Field(1, ge=0, le=999, description="lowest timestep whose noise the CRF is trained on")
    noise_to: int = Field(250, ge=0, le=999, description="highest such timestep")

    @model_validator(mode="after")
    def _noise_is_a_range(self) -> Self:
        if self.noise_from > self.noise_to:
            raise ValueError(
                f"expected noise_from up to noise_to, found {self.noise_from} and {self.noise_to}; exchange them"
            )
        return self


class TrainParameters(TrainOptions):
    """Natural store -> stage-1 CRF: denoising and adversarial loss."""

    latents: str = Field(description="natural store, made by encode")
    teacher: str = Field(description="teacher folder, for its noise schedule")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")


class DistillOptions(OptimizerOptions):
    steps: int = Field(10_000, ge=1, description="optimizer steps")
    batch_size: int = Field(4, ge=1, description="samples a step, over all workers")
    learning_rate: float = Field(1e-5, gt=0)
    lr_warmup_steps: int = Field(500, ge=0)
    observed: Literal["teacher", "inference"] = Field(
        "teacher", description="the teacher's step 40, or what teach stored with --inference"
    )


class DistillParameters(DistillOptions):
    """Teacher store and stage-1 CRF -> stage-2 CRF: step 40 -> step 50."""

    pairs: str = Field(description="teacher store, made by teach")
    initial: str = Field(description="stage-1 CRF, made by train")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")


class EvaluateOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels a side; the teacher's own if not given")
    limit: int | None = Field(None, ge=1, description="only the first so many captions")
    noises: int = Field(4, ge=2, description="starting noises a caption; Vendi needs at least two")
    lead: str = Field("31/40", description="what comes before the CRF: 31/40, or 31@981..201")
    shard_rows: int = Field(64, ge=1, description="samples a shard: the unit of work and resume")
    guidance_scale: float = Field(7.5, description="classifier-free guidance scale")
    seed: int = Field(1, ge=0, description="with each sample's id, makes its noise")


class EvaluateParameters(EvaluateOptions):
    """Teacher, CRF, captions and real images -> the table, with every control."""

    crf: str = Field(description="stage-2 CRF, made by distill")
    captions: str = Field(description="held-out captions")
    images: str = Field(description="held-out real images")
    teacher: str = Field(description="teacher folder in diffusers format")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")


class PipelineParameters(Options):
    """All stages, in the order of the data; each is skipped where its output is there."""

    teacher: str = Field(description="teacher folder in diffusers format")
    images: str = Field(description="images to encode")
    captions: str = Field(description="captions for the teacher's trajectories")
    heldout_images: str = Field(description="real images to compare with")
    heldout_captions: str = Field(description="captions to evaluate on")
    root: str = Field("runs", description="where outputs go: ROOT/STAGE/FINGERPRINT")
    encode: EncodeOptions = Field(default_factory=EncodeOptions)
    teach: TeachOptions = Field(default_factory=TeachOptions)
    train: TrainOptions = Field(default_factory=TrainOptions)
    distill: DistillOptions = Field(default_factory=DistillOptions)
    evaluate: EvaluateOptions = Field(default_factory=EvaluateOptions)
