"""Draw what a run's outputs were made from, as a Mermaid graph in a Markdown artifact of the Prefect UI."""

from humanize import naturaldelta
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext

from flows.report.artifacts import publish
from flows.stage import StageResult
from storage.outputs import Output, read_output, trace_inputs


def publish_lineage(results: list[StageResult], teacher: str) -> None:
    """Publish the lineage of a pipeline run's outputs in the Prefect UI. Does nothing outside a flow run."""
    if FlowRunContext.get():
        publish_graph([read_output(result.url) for result in results], results, teacher)


def publish_stage_lineage(result: StageResult, teacher: str | None) -> None:
    """Publish the lineage of the output of a stage's own run. Does nothing outside a flow run, or in a pipeline's."""
    context = FlowRunContext.get()
    if context and context.flow_run and not context.flow_run.parent_task_run_id:
        publish_graph(trace_inputs(result.url), [result], teacher)


def publish_graph(outputs: list[Output], results: list[StageResult], teacher: str | None) -> None:
    computed = {result.url for result in results if result.state == "computed"}
    publish(create_markdown_artifact, describe_lineage(outputs, computed, teacher), key="lineage")


def describe_lineage(outputs: list[Output], computed: set[str], teacher: str | None) -> str:
    """Describe the lineage in Markdown: a graph from the teacher to the last output, and where each output is.

    Args:
        outputs: The outputs, inputs first.
        computed: URLs of those that this run computed.
        teacher: URL of the teacher; None if the stage takes none itself.
    """
    arrows = list_arrows(outputs)
    lines = []
    if any(source == "teacher" for source, _ in arrows):
        lines.append(f'  teacher(["{"<br>".join(["teacher", *([escape(teacher)] if teacher else [])])}"])')
    for output in outputs:
        age = "computed in this run" if output.url in computed else f"cached, {naturaldelta(output.age())} old"
        lines.append(f'  {name_node(output)}["{output.identity.stage} {output.fingerprint[:4]}<br>{age}"]')
    lines += [f"  {source} --> {target}" for source, target in arrows]
    lines += [f"  style {name_node(output)} stroke-width:3px" for output in outputs if output.url in computed]
    graph = "\n".join(["```mermaid", "graph LR", *lines, "```"])
    states = {output.url: "computed" if output.url in computed else "cached" for output in outputs}
    table = "\n".join(f"| {output.identity.stage} | {states[output.url]} | `{output.url}` |" for output in outputs)
    return f"{graph}\n\n| stage | | output |\n|---|---|---|\n{table}\n"


def name_node(output: Output) -> str:
    """Name an output in the graph. A search rests on several outputs of one stage."""
    return f"{output.identity.stage}_{output.fingerprint[:4]}"


def list_arrows(outputs: list[Output]) -> list[tuple[str, str]]:
    """List what was made from what: ("teacher" or the source's node, the node made from it)."""
    by_fingerprint = {output.fingerprint: name_node(output) for output in outputs}
    arrows = []
    for output in outputs:
        inputs = output.identity.inputs
        if any(name.startswith("teacher.") for name in inputs):
            arrows.append(("teacher", name_node(output)))
        arrows += [(by_fingerprint[key], name_node(output)) for key in inputs.values() if key in by_fingerprint]
    return arrows


def escape(text: str) -> str:
    """Escape what Mermaid or HTML would take for markup, as Mermaid's entities."""
    return "".join(letter if letter.isalnum() or letter in "/.-_: " else f"#{ord(letter)};" for letter in text)
