"""``latentcrf``: every stage, the whole pipeline, its plan, and generation. See ``--help`` of each."""

import os
import sys
from typing import Annotated, Any

import cyclopts
from cyclopts import App, Parameter

from crf.errors import ScheduleError
from crf.schedule import PAPER
from flows.commands import browse
from flows.commands.terminal import Json, report
from flows.parameters import (
    DistillParameters,
    EncodeParameters,
    EvaluateParameters,
    TeachParameters,
    TrainParameters,
)
from flows.targets import find_once

app = App(name="latentcrf", help="LatentCRF: make a text-to-image diffusion model a third faster.")
for command in browse.COMMANDS:
    app.command(command)
Root = Annotated[str | None, Parameter(help="where outputs go; the configuration's own if not given")]


@find_once()
def run_one(stage: Any, flow: Any, params: Any, as_json: bool) -> None:
    stage.identify(params)  # a user's mistake ends here, before any server or model is started
    result = flow(params)
    record = result.model_dump(exclude_none=True)
    report(record, f"{result.stage}: {result.state}, {result.url}", as_json)


@app.command
def encode(params: Annotated[EncodeParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Images -> natural store: their latents and their captions' text embeddings."""
    from flows.encode import ENCODE
    from flows.encode import encode as flow

    run_one(ENCODE, flow, params, json)


@app.command
def teach(params: Annotated[TeachParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Captions -> teacher store: each trajectory's states at steps 40 and 50."""
    from flows.teach import TEACH
    from flows.teach import teach as flow

    run_one(TEACH, flow, params, json)


@app.command
def train(params: Annotated[TrainParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Natural store -> stage-1 CRF: denoising and adversarial loss."""
    from flows.train import TRAIN
    from flows.train import train as flow

    run_one(TRAIN, flow, params, json)


@app.command
def distill(params: Annotated[DistillParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Teacher store and stage-1 CRF -> stage-2 CRF."""
    from flows.distill import DISTILL
    from flows.distill import distill as flow

    run_one(DISTILL, flow, params, json)


@app.command
@find_once()
def evaluate(params: Annotated[EvaluateParameters, Parameter(name="*")], *, json: Json = False) -> None:
    """Teacher, CRF, captions and real images -> the table, with every control."""
    from flows.commands.terminal import print_table
    from flows.evaluate import EVALUATE
    from flows.evaluate import evaluate as flow

    EVALUATE.identify(params)
    result = flow(params)
    print_table(result.url)
    report(result.model_dump(exclude_none=True), f"evaluate: {result.state}, {result.url}/report.html", json)


@app.command
@find_once()
def run(config: str, *, root: Root = None, json: Json = False) -> None:
    """All stages of a configuration ("demo", or a YAML file), each skipped where its output is there."""
    from flows.commands.configs import load_config
    from flows.commands.terminal import print_table
    from flows.pipeline import pipeline, steps
    from storage.identity import digest

    params = load_config(config, root)
    steps(params)  # a user's mistake ends here, before any server or model is started
    results = pipeline(params)
    last = results[-1]
    print_table(last.url)
    record = {
        "stage": "pipeline",
        "state": "cached" if all(result.state == "cached" for result in results) else "computed",
        "fingerprint": digest([result.fingerprint for result in results]),
        "url": last.url,
        "stages": [result.model_dump(exclude_none=True) for result in results],
    }
    lines = [f"{result.stage:>8}: {result.state:8} {result.url}" for result in results]
    report(record, "\n".join([*lines, f"  report: {last.url}/report.html"]), json)


@app.command
def plan(config: str, *, root: Root = None, json: Json = False) -> None:
    """What ``run`` would do, stage by stage, and why. Runs nothing."""
    from dataclasses import asdict

    from flows.commands.configs import load_config
    from flows.pipeline import plan as plan_pipeline

    lines = [asdict(line) for line in plan_pipeline(load_config(config, root))]
    text = "\n".join(f"{x['stage']:>8}  {x['state']:8}{x['done']:>6} of {x['total']:<6} {x['reason']}" for x in lines)
    report({"stages": lines}, text, json)


@app.command
def generate(
    *,
    prompt: str,
    teacher: str | None = None,
    crf: str | None = None,
    schedule: str = PAPER,
    output: str = "latentcrf.png",
    root: str = "runs/demo",
    seed: int = 0,
    guidance_scale: float = 7.5,
    json: Json = False,
) -> None:
    """A picture by the teacher alone (50 steps) beside one with the CRF, and both times.

    Parameters
    ----------
    teacher
        Teacher folder; the demo's if not given.
    crf
        A CRF, as distill or train printed it; the newest below ROOT/distill if not given.
    schedule
        What runs with the CRF; its first part should be the lead that the CRF was distilled on.
    root
        Where to look for the newest CRF.
    """
    from flows.commands.generate import side_by_side

    record = side_by_side(prompt, teacher, crf, schedule, output, root, seed, guidance_scale)
    text = (
        f"{record['output']}: left the teacher, 50 steps, {record['teacher_seconds']:.2f} s; "
        f"right {record['schedule']}, {record['crf_seconds']:.2f} s"
    )
    report(record, text, json)


@app.command
def ui(*, port: int = 4200) -> None:
    """Prefect server and worker on 127.0.0.1, with a deployment of every stage. Ctrl-C ends both."""
    from flows.commands.ui import serve

    serve(port)


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit code 2."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from crf.errors import TeacherError
    from storage.endpoints import user_error

    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        fail(" ".join(str(error).split()))
    except (TeacherError, ScheduleError) as error:
        fail(str(error))
    except Exception as error:
        told = user_error(error)
        if told is None:
            raise
        fail(str(told))


def fail(message: str) -> None:
    print(f"latentcrf: {message}", file=sys.stderr)
    sys.exit(2)
