"""The pipeline: every stage as a subflow, which does nothing if its output is sealed."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from prefect import flow

from crf.front import hash_caption
from crf.schedule import PAPERS_LEAD
from flows.distill import DISTILL, distill
from flows.encode import ENCODE, encode
from flows.evaluate import EVALUATE, evaluate
from flows.evaluation.seen_captions import check_unseen
from flows.overview.lineage import publish_lineage
from flows.overview.planning import publish_plan
from flows.parameters.evaluation import EvaluateParameters
from flows.parameters.latents import EncodeParameters, TeachParameters
from flows.parameters.pipeline import PipelineParameters
from flows.parameters.searching import SearchParameters
from flows.parameters.training import DistillParameters, TrainParameters
from flows.ray_session import ray_session
from flows.runs.names import name_run
from flows.search import SEARCH, search
from flows.stage import Stage, StagePlan, StageResult, find_work, plan_stage
from flows.story import Story
from flows.targets import find_once
from flows.teach import TEACH, teach
from flows.train import TRAIN, train
from storage import UserError, locations
from storage.inputs.captions import scan_captions


@dataclass(frozen=True)
class Step:
    """A stage of a pipeline run: the stage, its flow and its parameters."""

    stage: Stage[Any]
    subflow: Any
    params: Any


def list_steps(params: PipelineParameters) -> list[Step]:
    """List the stages with their parameters, in order. Runs nothing: an output's URL depends only on its inputs."""
    root = locations.make_absolute(params.root)
    running = {"root": root, "resources": params.resources}
    common = {"teacher": params.teacher, **running}

    def output(stage: Stage[Any], stage_params: Any) -> str:
        return find_work(stage, stage_params, root).url

    encoded = EncodeParameters.model_validate({**dict(params.encode), **common, "images": params.images})
    taught = TeachParameters.model_validate({**dict(params.teach), **common, "captions": params.captions})
    trained_on = {hash_caption(row["caption"]) for row in scan_captions(taught.captions, taught.limit)}
    check_unseen(params.heldout_captions, params.evaluate.limit, trained_on)
    trained = TrainParameters.model_validate({**dict(params.train), **common, "latents": output(ENCODE, encoded)})
    pairs, initial = output(TEACH, taught), output(TRAIN, trained)
    distilled = DistillParameters.model_validate(
        {
            **dict(params.distill),
            **running,
            "pairs": pairs,
            "initial": initial,
            "teacher": params.teacher if params.distill.through else None,
        }
    )
    heldout = {"captions": params.heldout_captions, "images": params.heldout_images}
    # As distill will write them into the CRF's config, which does not exist yet.
    place = {
        "lead": params.teach.lead if params.distill.observed == "lead" else PAPERS_LEAD,
        "tail": params.teach.tail if params.distill.target == "tail" else None,
        "schedule": params.distill.through or (params.teach.rollout if params.distill.observed == "rollout" else None),
    }
    made = output(DISTILL, distilled)
    search_steps = []
    front = params.front
    if params.calibrate_captions:
        sets = {"calibrate": params.calibrate_captions, "select": params.select_captions, "test": heldout["captions"]}
        searched = SearchParameters.model_validate(
            {**dict(params.search), **common, **sets, "trajectories": pairs, "crf": made}
        )
        search_steps, front = [Step(SEARCH, search, searched)], output(SEARCH, searched)
    evaluated = EvaluateParameters.model_validate(
        {**dict(params.evaluate), **common, **heldout, **place, "crf": made, "front": front}
    )
    return [
        Step(ENCODE, encode, encoded),
        Step(TEACH, teach, taught),
        Step(TRAIN, train, trained),
        Step(DISTILL, distill, distilled),
        *search_steps,
        Step(EVALUATE, evaluate, evaluated),
    ]


@find_once()
def plan_stages(params: PipelineParameters) -> list[StagePlan]:
    """Return what a run would do, stage by stage, and why. Runs nothing."""
    return [plan_stage(step.stage, step.params, params.root) for step in list_steps(params)]


@flow(name="plan")
def plan(params: PipelineParameters) -> list[StagePlan]:
    """Publish what a run of the pipeline would do, stage by stage, and why. Runs no stage."""
    plans = plan_stages(params)
    publish_plan(plans)
    return plans


@flow(name="pipeline")
def pipeline(params: PipelineParameters) -> list[StageResult]:
    """Run all stages: encode, teach, train, distill, search (if asked for), evaluate. Skips each that is sealed."""
    with find_once():
        steps = list_steps(params)
        plans = [plan_stage(step.stage, step.params, params.root) for step in steps]
        publish_plan(plans)
        name_run("pipeline", f"pipeline · {', '.join(x.stage for x in plans if x.state != 'fresh') or 'all fresh'}")
        chosen = choose_steps(steps, params)
        sealed = all(find_work(step.stage, step.params, params.root).sealed for step in chosen)
        with nullcontext() if sealed else ray_session():
            results = [run_step(step) for step in chosen]
        publish_lineage(results, params.teacher)
        return results


def run_step(step: Step) -> StageResult:
    """Run a stage's flow, and tell its result in the pipeline's log."""
    result: StageResult = step.subflow(step.params)
    Story(step.stage.name).tell(f"{result.state}, at {result.url}")
    return result


def choose_steps(steps: list[Step], params: PipelineParameters) -> list[Step]:
    """Choose the steps of ``params.stages``. Raises UserError if an earlier one, which is left out, is not sealed."""
    if not params.stages:
        return steps
    chosen = [step for step in steps if step.stage.name in params.stages]
    last = steps.index(chosen[-1]) if chosen else 0
    for step in steps[:last]:
        if step not in chosen and not find_work(step.stage, step.params, params.root).sealed:
            name = step.stage.name
            raise UserError(f"a sealed output of {name}, which is left out", "none", f"add {name} to stages")
    return chosen
