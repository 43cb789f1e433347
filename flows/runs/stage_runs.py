"""Run a stage as a Prefect flow: with retries, and with the lineage of its output in the UI."""

from flows.overview.lineage import publish_stage_lineage
from flows.runs.retries import run_with_retries
from flows.stage import P, Stage, StageResult


def run_as_flow(stage: Stage[P], params: P, root: str, teacher: str | None = None) -> StageResult:
    """Run a stage in its flow, and publish the lineage of its output unless a pipeline does.

    ``teacher``: URL of the teacher; None if the stage takes none itself.
    """
    result = run_with_retries(stage, params, root)
    publish_stage_lineage(result, teacher)
    return result
