"""The command line: ``latentcrf`` and its commands, apart from those in ``flows.commands``."""

import os
import signal
import sys
from contextlib import nullcontext
from importlib.metadata import version
from typing import Annotated

import cyclopts
from cyclopts import App, Group, Parameter

from flows.commands import browse, stages
from flows.commands.compare import compare
from flows.commands.reproduce import reproduce
from flows.commands.terminal import Json, describe_usage_error, format_counts, hold_native_stderr, report
from flows.targets import find_once

app = App(
    name="latentcrf",
    help="Make a text-to-image diffusion model a third faster: train a CRF that replaces its late steps.",
    version=lambda: version("latentcrf"),  # the distribution's: no package has its name
    suppress_keyboard_interrupt=False,  # main says what to do next
)
PIPELINE, STAGES, OUTPUTS, IMAGES = (
    Group(name, sort_key=place) for place, name in enumerate(("Pipeline", "Stages", "Outputs", "Images"))
)
for place, command in enumerate(stages.COMMANDS):
    app.command(command, group=STAGES, sort_key=place)
for command in browse.COMMANDS:
    app.command(command, group=OUTPUTS)
app.command(compare, group=OUTPUTS)
app.command(reproduce, group=OUTPUTS)
app["--help"].group = app["--version"].group = Group("Options")
Config = Annotated[str, Parameter(help='a YAML file, or "demo"')]
Root = Annotated[str | None, Parameter(help="where outputs go; by default the configuration's root")]


@app.command(group=PIPELINE, sort_key=1)
@find_once()
def run(config: Config, *, root: Root = None, json: Json = False) -> None:
    """Run all stages of a configuration. Skips each stage whose output is sealed."""
    from flows.commands.configs import load_config
    from flows.commands.terminal import print_table
    from flows.pipeline import list_steps, pipeline
    from flows.prefect_server import start_temporary_server
    from flows.ray_session import ray_session
    from flows.stage import find_work
    from storage.identity import digest

    params = load_config(config, root)
    work = [find_work(step.stage, step.params, params.root) for step in list_steps(params)]  # raises user errors
    start_temporary_server()
    # Ray and the server start at the same time.
    with hold_native_stderr(), nullcontext() if all(each.sealed for each in work) else ray_session():
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
    lines = [f"{result.stage:>8}: {result.state:8} {result.url}{format_counts(result)}" for result in results]
    report(record, "\n".join([*lines, f"  report: {last.url}/report.html"]), json)


@app.command(group=PIPELINE, sort_key=2)
def plan(config: Config, *, root: Root = None, json: Json = False) -> None:
    """Print what ``run`` would do, stage by stage, and why. Starts no stage; keeps images' checksums in ROOT/inputs."""
    from dataclasses import asdict

    from flows.commands.configs import load_config
    from flows.overview.planning import format_plan
    from flows.pipeline import plan_stages

    plans = plan_stages(load_config(config, root))
    report({"stages": [asdict(line) for line in plans]}, format_plan(plans), json)


@app.command(group=IMAGES)
def generate(
    *,
    prompt: str,
    teacher: str | None = None,
    crf: str | None = None,
    schedule: str | None = None,
    num_inference_steps: int | None = None,
    output: str = "latentcrf.png",
    root: str = "runs/demo",
    seed: int = 0,
    guidance_scale: float = 7.5,
    ignore_mismatched_lead: bool = False,
    json: Json = False,
) -> None:
    """Generate one prompt's image by the teacher's 50 steps and by a schedule, side by side, and time both.

    Parameters
    ----------
    prompt
        text prompt
    teacher
        teacher folder in diffusers format; by default the demo's
    crf
        URL of a CRF, as printed by distill or train; by default the newest under ROOT/distill
    schedule
        schedule of the second image, a .txt file with a long one, or the schedule.json of a search; by default the
        lead and tail that the CRF was distilled for
    num_inference_steps
        with a schedule.json: run its schedule of so many evaluations; by default the recommended one
    output
        path of the PNG to write
    root
        root of the outputs, for the newest CRF
    seed
        seed of the initial noise, which both images share
    guidance_scale
        classifier-free guidance scale
    ignore_mismatched_lead
        accept a schedule with a lead other than the one the CRF was distilled on
    """
    from flows.commands.generate import draw_side_by_side

    record = draw_side_by_side(
        prompt,
        teacher,
        crf,
        schedule,
        output,
        root,
        seed,
        guidance_scale,
        ignore_mismatched_lead,
        num_inference_steps,
    )
    text = (
        f"{record['output']}: left: teacher, 50 steps, {record['teacher_seconds']:.2f} s; "
        f"right: {record['schedule']}, {record['seconds']:.2f} s"
    )
    report(record, text, json)


@app.command(group=PIPELINE, sort_key=3)
def ui(*, port: int = 4200) -> None:
    """Serve the Prefect UI on 127.0.0.1, with a worker and a deployment of each stage, until Ctrl-C.

    Parameters
    ----------
    port
        port of the UI and the API
    """
    from flows.commands.ui import serve

    serve(port)


def main() -> None:
    """Run the command line. For a user error, print one line on stderr and exit with code 2.

    SIGTERM ends it as Ctrl-C does: with one line, and code 130.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    from flows.errors import find_user_error

    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        fail(describe_usage_error(error))
    except KeyboardInterrupt:
        fail("stopped; what is committed is kept, and the same command goes on from there", code=130)
    except Exception as error:
        message = find_user_error(error)
        if message is None:
            raise
        fail(message)


def fail(message: str, code: int = 2) -> None:
    """Print the message on stderr and exit with a code."""
    print(f"latentcrf: {message}", file=sys.stderr)
    sys.exit(code)
