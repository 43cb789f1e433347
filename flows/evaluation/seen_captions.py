"""Keep seen captions out of an evaluation: there, a CRF that was trained on them and a front look too good."""

from collections.abc import Iterable, Iterator

from flows.parameters import EvaluateParameters
from flows.search import ROUNDS
from storage import locations
from storage.errors import UserError
from storage.identity import read_identity
from storage.inputs.captions import scan_captions
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


def check_all_unseen(params: EvaluateParameters) -> None:
    """Raise UserError if the CRF was distilled on a caption, or the front was searched on one."""
    for url in filter(None, list_seen_indices(params)):
        seen = (caption for table in read_index_shards(url) for caption in table["caption"].to_pylist())
        check_unseen(params.captions, params.limit, seen)


def list_seen_indices(params: EvaluateParameters) -> list[str | None]:
    """List the indices of the stores whose captions the CRF and the front have seen; None for each that is gone."""
    indices: list[str | None] = []
    if params.crf:
        indices.append(find_index(place_teacher_store(params.crf)))
    if params.front:
        indices += [find_index(url) for url in list_searched_stores(params.front)]
    return indices


def place_teacher_store(output: str) -> str:
    """Return the URL of the teacher store that an output was made from, beside it below their root."""
    root = locations.make_absolute(output).rsplit("/", 2)[0]
    return locations.join(root, "teach", read_identity(output).inputs["teach"])


def list_searched_stores(front: str) -> Iterator[str]:
    """Yield the URL of each store that a search chose its front on: of all rounds but the last, which is its test."""
    yield place_teacher_store(front)
    for number in range(1, ROUNDS):
        yield str(locations.read_json(locations.join(front, f"round-{number}.json"))["measured"])


def find_index(store: str) -> str | None:
    """Return the URL of a store's index; None if the store is gone."""
    url = locations.join(store, INDEX)
    return url if locations.exists(url) else None


def check_unseen(captions: str, limit: int | None, seen: Iterable[str]) -> None:
    """Raise UserError if a caption to evaluate on is among the seen ones, apart from case and outer spaces.

    Args:
        captions: Path or URL of the captions to evaluate on.
        limit: Number of captions to evaluate on, from the first on; None for all.
        seen: The captions of a training or a search.
    """
    heldout = {normalize(row["caption"]): row["caption"] for row in scan_captions(captions, limit)}
    shared = heldout.keys() & {text for text in map(normalize, seen) if text in heldout}
    if shared:
        raise UserError(
            "captions that the CRF was not distilled on and the front not searched on",
            f"{len(shared)} of {len(heldout)} among those, such as {heldout[min(shared)]!r}",
            "remove them from the captions to evaluate on, or distill and search without them",
        )


def normalize(caption: str) -> str:
    """Return the caption in the form in which equal captions are found."""
    return caption.strip().casefold()
