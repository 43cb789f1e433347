"""The parameters of the pipeline."""

from typing import Literal, Self

from pydantic import Field, model_validator

from flows.parameters.base import Options, Root, TeacherFolder
from flows.parameters.evaluation import EvaluateOptions
from flows.parameters.latents import EncodeOptions, TeachOptions
from flows.parameters.running import Resources
from flows.parameters.searching import SearchOptions
from flows.parameters.training import DistillOptions, TrainOptions

StageName = Literal["encode", "teach", "train", "distill", "search", "evaluate"]


class PipelineParameters(Options):
    """Parameters of the pipeline, and the options of each stage."""

    teacher: TeacherFolder
    images: str = Field(description="images to encode")
    captions: str = Field(description="captions for the teacher's trajectories")
    heldout_images: str = Field(description="real images to compare with")
    heldout_captions: str = Field(description="captions to evaluate on")
    stages: tuple[StageName, ...] = Field(
        (), description="run only these stages, on what the others have made; by default all"
    )
    calibrate_captions: str | None = Field(None, description="captions to race schedules on: adds the search")
    select_captions: str | None = Field(None, description="captions to choose the schedules of the search on")
    front: str | None = Field(None, description="schedule.json of an earlier search, to evaluate its schedules")
    root: Root = "runs"
    resources: Resources = Field(default_factory=Resources)
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
        if self.distill.observed == "rollout" and self.teach.rollout is None:
            raise ValueError("expected teach.rollout for distill.observed 'rollout', found none; write its schedule")
        if self.distill.target == "tail" and self.teach.tail is None:
            raise ValueError("expected teach.tail for distill.target 'tail', found none; write it, such as 101")
        return self
