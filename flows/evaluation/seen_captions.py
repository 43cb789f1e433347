"""Keep seen captions out of an evaluation: there, a CRF that was trained on them and a front look too good."""

from crf.front import hash_caption
from flows.evaluation.methods import load_front
from flows.parameters.evaluation import EvaluateParameters
from storage import locations
from storage.errors import UserError
from storage.identity import read_identity
from storage.inputs.captions import scan_captions
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


def check_all_unseen(params: EvaluateParameters) -> None:
    """Raise UserError if the CRF was distilled on a caption, or the front was searched on one."""
    check_unseen(params.captions, params.limit, list_seen(params))


def check_unseen(captions: str, limit: int | None, seen: set[str]) -> None:
    """Raise UserError if a caption to evaluate on is among the seen ones, apart from case and outer spaces.

    Args:
        captions: Path or URL of the captions to evaluate on.
        limit: Number of captions to evaluate on, from the first on; None for all.
        seen: ``hash_caption`` of the captions of a training or a search.
    """
    heldout = {hash_caption(row["caption"]): row["caption"] for row in scan_captions(captions, limit)}
    if shared := heldout.keys() & seen:
        example = min(heldout[name] for name in shared)
        raise UserError(
            "captions that the CRF was not distilled on and the front not searched on",
            f"{len(shared)} of {len(heldout)} among those, such as {example!r}",
            "remove them from the captions to evaluate on, or distill and search without them",
        )


def list_seen(params: EvaluateParameters) -> set[str]:
    """List the hashes of the captions that the CRF and the front have seen, as far as they are known."""
    seen: set[str] = set()
    if index := find_training_index(params):
        seen |= {hash_caption(text) for part in read_index_shards(index) for text in part["caption"].to_pylist()}
    if front := load_front(params.front):
        seen |= set(front.seen)
    return seen


def find_training_index(params: EvaluateParameters) -> str | None:
    """Return the URL of the index of the teacher store that the CRF was distilled on; None if the store is gone."""
    if params.crf is None:
        return None
    root = locations.make_absolute(params.crf).rsplit("/", 2)[0]
    index = locations.join(root, "teach", read_identity(params.crf).inputs["teach"], INDEX)
    return index if locations.exists(index) else None


def describe_seen(params: EvaluateParameters) -> str:
    """Return what the report says: "none" of its captions was seen, or "not checked" if the training's are unknown."""
    return "none" if params.crf is None or find_training_index(params) else "not checked"
