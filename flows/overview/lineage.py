"""Draw what a run's outputs were made from, as a Mermaid graph in a Markdown artifact of the Prefect UI."""

from humanize import naturaldelta
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext

from flows.report.artifacts import publish
from flows.stage import StageResult
from storage.outputs import Output, read_output


def publish_lineage(results: list[StageResult], teacher: str) -> None:
    """Publish the lineage of a run's outputs in the Prefect UI. Does nothing outside a flow run."""
    if FlowRunContext.get():
        publish(create_markdown_artifact, describe_lineage(results, teacher), key="lineage")


def describe_lineage(results: list[StageResult], teacher: str) -> str:
    """Describe the lineage in Markdown: a graph from the teacher to the report, and where each output is."""
    outputs = [read_output(result.url) for result in results]
    lines = [f'  teacher(["teacher<br>{escape(teacher)}"])']
    for result, output in zip(results, outputs, strict=True):
        age = "computed in this run" if result.state == "computed" else f"cached, {naturaldelta(output.age())} old"
        lines.append(f'  {result.stage}["{result.stage} {result.fingerprint[:4]}<br>{age}"]')
    lines += [f"  {source} --> {target}" for source, target in list_arrows(outputs)]
    lines += [f"  style {result.stage} stroke-width:3px" for result in results if result.state == "computed"]
    graph = "\n".join(["```mermaid", "graph LR", *lines, "```"])
    table = "\n".join(f"| {result.stage} | {result.state} | `{result.url}` |" for result in results)
    return f"{graph}\n\n| stage | | output |\n|---|---|---|\n{table}\n"


def list_arrows(outputs: list[Output]) -> list[tuple[str, str]]:
    """List what was made from what: (stage or "teacher", stage)."""
    by_fingerprint = {output.fingerprint: output.identity.stage for output in outputs}
    arrows = []
    for output in outputs:
        inputs = output.identity.inputs
        if any(name.startswith("teacher.") for name in inputs):
            arrows.append(("teacher", output.identity.stage))
        arrows += [(by_fingerprint[key], output.identity.stage) for key in inputs.values() if key in by_fingerprint]
    return arrows


def escape(text: str) -> str:
    """Escape what Mermaid or HTML would take for markup, as Mermaid's entities."""
    return "".join(letter if letter.isalnum() or letter in "/.-_: " else f"#{ord(letter)};" for letter in text)
