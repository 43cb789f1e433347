"""pipeline: all stages, each as a subflow, only what is stale."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prefect import flow

from flows.distill import DISTILL, distill
from flows.encode import ENCODE, encode
from flows.evaluate import EVALUATE, evaluate
from flows.parameters import (
    DistillParameters,
    EncodeParameters,
    EvaluateParameters,
    PipelineParameters,
    TeachParameters,
    TrainParameters,
)
from flows.ray_session import ray_session
from flows.stage import Stage, StagePlan, StageResult, find_work, plan_stage
from flows.teach import TEACH, teach
from flows.train import TRAIN, train
from storage import locations


@dataclass(frozen=True)
class Step:
    """A stage with its parameters worked out."""

    stage: Stage[Any]
    subflow: Any
    params: Any


def steps(params: PipelineParameters) -> list[Step]:
    """Every stage's parameters, known before anything runs: an output's URL follows from its inputs."""
    root = locations.absolute(params.root)
    common = {"teacher": params.teacher, "root": root}

    def output(stage: Stage[Any], stage_params: Any) -> str:
        return find_work(stage, stage_params, root).url

    encoded = EncodeParameters(images=params.images, **common, **dict(params.encode))
    taught = TeachParameters(captions=params.captions, **common, **dict(params.teach))
    trained = TrainParameters(latents=output(ENCODE, encoded), **common, **dict(params.train))
    distilled = DistillParameters(
        pairs=output(TEACH, taught), initial=output(TRAIN, trained), root=root, **dict(params.distill)
    )
    evaluated = EvaluateParameters(
        crf=output(DISTILL, distilled),
        captions=params.heldout_captions,
        images=params.heldout_images,
        **common,
        **dict(params.evaluate),
    )
    return [
        Step(ENCODE, encode, encoded),
        Step(TEACH, teach, taught),
        Step(TRAIN, train, trained),
        Step(DISTILL, distill, distilled),
        Step(EVALUATE, evaluate, evaluated),
    ]


def plan(params: PipelineParameters) -> Iterator[StagePlan]:
    """What a run would do, stage by stage, and why; runs nothing."""
    for step in steps(params):
        yield plan_stage(step.stage, step.params, params.root)


@flow(name="pipeline")
def pipeline(params: PipelineParameters) -> list[StageResult]:
    """Images and captions -> latents -> stores -> training -> evaluation."""
    planned = steps(params)
    if all(find_work(step.stage, step.params, params.root).sealed for step in planned):
        return [step.subflow(step.params) for step in planned]
    with ray_session():
        return [step.subflow(step.params) for step in planned]
