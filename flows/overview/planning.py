"""Publish the plan of a pipeline run as a table in the Prefect UI."""

from prefect.artifacts import create_table_artifact
from prefect.context import FlowRunContext

from flows.report.artifacts import publish
from flows.stage import StagePlan


def publish_plan(plans: list[StagePlan]) -> None:
    """Publish what a run is going to do, stage by stage, and why. Does nothing outside a flow run."""
    if not FlowRunContext.get():
        return
    lines = [
        {"stage": plan.stage, "state": plan.state, "done": plan.done, "of": plan.total, "why": plan.reason}
        for plan in plans
    ]
    publish(create_table_artifact, lines, key="plan", description="What this run does, and why.")
