"""Show the plan of a pipeline run: on the terminal, and as a table in the Prefect UI."""

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext

from flows.report.artifacts import publish
from flows.stage import StagePlan


def publish_plan(plans: list[StagePlan]) -> None:
    """Publish what a run is going to do, stage by stage, and why. Does nothing outside a flow run."""
    if not FlowRunContext.get():
        return
    lines = [
        {
            "stage": plan.stage,
            "state": plan.state,
            "done": plan.done,
            "of": plan.total,
            "why": plan.reason,
            "to make": str(plan.estimate or ""),
        }
        for plan in plans
    ]
    publish(create_table_artifact, lines, key="plan", description="What this run does, and why.")


def format_plan(plans: list[StagePlan]) -> str:
    """Format a plan for the terminal: a line per stage, and below it what there is to make of a store."""
    lines = []
    for plan in plans:
        lines.append(f"{plan.stage:>8}  {plan.state:8}{plan.done:>6} of {plan.total:<6} {plan.reason}")
        lines += [f"{'':20}to make: {plan.estimate}"] if plan.estimate else []
    return "\n".join(lines)
