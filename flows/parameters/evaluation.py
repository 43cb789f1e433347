"""The parameters of the stages that compare methods: ``evaluate`` and ``measure``."""

from typing import Any

from pydantic import Field, model_validator

from flows.parameters.base import Options, Root, TeacherFolder
from flows.parameters.precision import MicroBatch, Precision
from flows.parameters.running import Resources
from flows.protocols.applying import fill_parameters
from flows.protocols.named import ProtocolName


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
        description="network to compare images by: folder or URL in transformers' format (CLIP, SigLIP, DINOv2), or a "
        "TorchScript file; by default EfficientNet-Lite0",
    )
    st_lpips: bool = Field(False, description="also measure ST-LPIPS; needs pip install 'latentcrf[perceptual]'")
    caption_test: int = Field(
        0,
        ge=0,
        description="let the teacher tell so many captions, from the first on, by their images; its cost per image is "
        "three evaluations per caption",
    )
    dtype: Precision = "float32"
    micro_batch: MicroBatch = 16

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
    schedule: str | None = Field(
        None, description="schedule with the CRF inside; by default the one it was distilled in, if it was in one"
    )
    ignore_mismatched_lead: bool = Field(False, description="accept a lead other than the one the CRF was distilled on")
    captions: str = Field(description="held-out captions")
    images: str = Field(description="held-out real images")
    teacher: TeacherFolder
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)


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
    dtype: Precision = "float32"
    micro_batch: MicroBatch = 16
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)
