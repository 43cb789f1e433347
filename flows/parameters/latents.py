"""The parameters of the stages that make latents: ``encode`` and ``teach``."""

from typing import Literal, Self

from pydantic import Field, model_validator

from flows.parameters.base import Options, Root, TeacherFolder
from flows.parameters.precision import MicroBatch, Precision
from flows.parameters.running import Resources


class EncodeOptions(Options):
    size: int | None = Field(None, ge=8, description="pixels per side; the teacher's own by default")
    limit: int | None = Field(None, ge=1, description="use only this many images, from the first on")
    shard_rows: int = Field(512, ge=1, description="samples per shard, the unit of work and resume")
    dtype: Precision = "float32"
    micro_batch: MicroBatch = 16
    vae_tiling: bool = Field(
        False,
        description="encode in overlapping tiles, for images too large for the device; changes values at their edges",
    )


class EncodeParameters(EncodeOptions):
    """Parameters of ``encode``: images -> natural store."""

    images: str = Field(description="image folder, .parquet or WebDataset .tar; any fsspec URL")
    teacher: TeacherFolder
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)


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
    rollout: str | None = Field(
        None,
        description="also store what a CRF meets inside this schedule, such as '3@981,641,321 + crf', and the "
        "teacher's own next states, for distill --observed rollout",
    )
    rollout_crf: str | None = Field(
        None, description="CRF of the roll-out; by default one that changes nothing, as before its training"
    )
    dtype: Precision = "float32"
    micro_batch: MicroBatch = 16

    @model_validator(mode="after")
    def _check_the_crf_has_a_rollout(self) -> Self:
        if self.rollout_crf and not self.rollout:
            raise ValueError("expected rollout for rollout_crf, found none; write it, such as '3@981,641,321 + crf'")
        return self


class TeachParameters(TeachOptions):
    """Parameters of ``teach``: captions -> teacher store."""

    captions: str = Field(description="caption file (.parquet, .json, .jsonl, .tsv, .csv, .txt); any fsspec URL")
    teacher: TeacherFolder
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)
