"""Commands that run one stage."""

from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import Parameter

from flows.commands.terminal import Json, format_counts, hold_native_stderr, report
from flows.parameters.evaluation import EvaluateParameters, MeasureParameters
from flows.parameters.latents import EncodeParameters, TeachParameters
from flows.parameters.searching import SearchParameters
from flows.parameters.training import DistillParameters, TrainParameters
from flows.targets import find_once


@find_once()
def run_flow(stage: Any, flow: Any, params: Any) -> Any:
    """Run a stage's flow and return its result. Raises user errors before any server or model starts."""
    from flows.prefect_server import start_temporary_server
    from flows.stage import find_work

    if not find_work(stage, params, params.root).sealed:
        stage.check(params)
    start_temporary_server()
    with hold_native_stderr():
        return flow(params)


def run_stage(stage: Any, flow: Any, params: Any, as_json: bool) -> None:
    """Run a stage's flow and print the URL of its output."""
    result = run_flow(stage, flow, params)
    text = f"{result.stage}: {result.state}, {result.url}{format_counts(result)}"
    report(result.model_dump(exclude_none=True), text, as_json)


def encode(params: Annotated[EncodeParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Encode images into a natural store: latents, and text embeddings of the captions."""
    from flows.encode import ENCODE
    from flows.encode import encode as flow

    run_stage(ENCODE, flow, params, json)


def teach(params: Annotated[TeachParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Run the teacher on captions and store its latents at steps 40 and 50 of 50."""
    from flows.teach import TEACH
    from flows.teach import teach as flow

    run_stage(TEACH, flow, params, json)


def train(params: Annotated[TrainParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Train the stage-1 CRF on a natural store, with a denoising and an adversarial loss."""
    from flows.train import TRAIN
    from flows.train import train as flow

    run_stage(TRAIN, flow, params, json)


def distill(params: Annotated[DistillParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Distill the teacher's late steps into the stage-2 CRF, starting from the stage-1 CRF."""
    from flows.distill import DISTILL
    from flows.distill import distill as flow

    run_stage(DISTILL, flow, params, json)


def evaluate(params: Annotated[EvaluateParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Compare the CRF with its teacher and every baseline on held-out captions: table, plots, images."""
    from flows.commands.terminal import print_table
    from flows.evaluate import EVALUATE
    from flows.evaluate import evaluate as flow
    from flows.protocols.applying import describe_run, format_deviations

    result = run_flow(EVALUATE, flow, params)
    print_table(result.url)
    run = describe_run(params.model_dump())
    text = f"evaluate: {result.state}, {result.url}/report.html{format_deviations(run)}"
    report({**result.model_dump(exclude_none=True), **({"protocol": run} if run else {})}, text, json)


def search(params: Annotated[SearchParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Search the fastest schedules for a teacher: the best one for each number of evaluations."""
    from flows.search import SEARCH
    from flows.search import search as flow
    from storage import locations

    result = run_flow(SEARCH, flow, params)
    summary = locations.read_json(locations.join(result.url, "search.json"))["summary"]
    text = f"{summary}\nsearch: {result.state}, {result.url}/schedule.json"
    report({**result.model_dump(exclude_none=True), "summary": summary}, text, json)


def measure(params: Annotated[MeasureParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Measure how far schedules end from the teacher's own 50 steps, on the same captions and noises."""
    from flows.measure import MEASURE
    from flows.measure import measure as flow

    run_stage(MEASURE, flow, params, json)


COMMANDS: tuple[Callable[..., None], ...] = (encode, teach, train, distill, evaluate, search, measure)
