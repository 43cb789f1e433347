"""What an output was made from, as a graph."""

from pathlib import Path

import pytest

from flows.overview.lineage import describe_lineage
from storage.outputs import Output, trace_inputs
from tests.support.outputs import write_training_output
from tests.support.stores import make_store


@pytest.fixture
def distilled(tmp_path: Path) -> Output:
    """encode <- train <- distill, and an output beside them."""
    store = Path(make_store(tmp_path)).name
    train = write_training_output(tmp_path, "train", {"encode": store, "teacher.scheduler": "5c"})
    write_training_output(tmp_path, "train", {"encode": store, "teacher.scheduler": "0ld"})
    return write_training_output(tmp_path, "distill", {"train": train.fingerprint, "encode": store})


def test_an_output_is_traced_to_all_that_it_was_made_from(distilled: Output) -> None:
    assert [output.identity.stage for output in trace_inputs(distilled.url)] == ["encode", "train", "distill"]


def test_the_graph_has_every_arrow_and_marks_what_this_run_computed(distilled: Output) -> None:
    outputs = trace_inputs(distilled.url)
    encode, train, distill = (f"{output.identity.stage}_{output.fingerprint[:4]}" for output in outputs)
    text = describe_lineage(outputs, {distilled.url}, 'a "teacher" [1]<b>')
    assert "```mermaid\ngraph LR\n" in text
    assert '(["teacher<br>a #34;teacher#34; #91;1#93;#60;b#62;"])' in text
    arrows = {line.strip() for line in text.splitlines() if "-->" in line}
    edges = [("teacher", train), (encode, train), (train, distill), (encode, distill)]
    assert arrows == {f"{source} --> {target}" for source, target in edges}
    assert text.count("computed in this run") == text.count("stroke-width") == 1
    assert f"| distill | computed | `{distilled.url}` |" in text
    assert text.count("| cached |") == 2


def test_what_needs_no_teacher_shows_none(distilled: Output) -> None:
    assert "teacher(" not in describe_lineage(trace_inputs(distilled.url)[:1], set(), None)
