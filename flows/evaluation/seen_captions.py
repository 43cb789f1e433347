"""Keep training captions out of an evaluation: on captions that a CRF has seen, its errors are too small."""

from collections.abc import Iterable

from storage import locations
from storage.errors import UserError
from storage.identity import read_identity
from storage.inputs.captions import scan_captions
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


def find_teacher_index(crf: str) -> str | None:
    """Return the URL of the index of the teacher store that a CRF was distilled from; None if the store is gone."""
    root = locations.make_absolute(crf).rsplit("/", 2)[0]
    url = locations.join(root, "teach", read_identity(crf).inputs["teach"], INDEX)
    return url if locations.exists(url) else None


def check_unseen_by_crf(captions: str, limit: int | None, crf: str) -> bool:
    """Raise UserError if the CRF was distilled on a caption. Returns False if that cannot be known."""
    index = find_teacher_index(crf)
    if index is None:
        return False
    trained = (caption for table in read_index_shards(index) for caption in table["caption"].to_pylist())
    check_unseen(captions, limit, trained)
    return True


def check_unseen(captions: str, limit: int | None, trained: Iterable[str]) -> None:
    """Raise UserError if a caption to evaluate on is among the training's, apart from case and outer spaces.

    Args:
        captions: Path or URL of the captions to evaluate on.
        limit: Number of captions to evaluate on, from the first on; None for all.
        trained: The training's captions.
    """
    heldout = {normalize(row["caption"]): row["caption"] for row in scan_captions(captions, limit)}
    seen = heldout.keys() & {text for text in map(normalize, trained) if text in heldout}
    if seen:
        example = heldout[min(seen)]
        raise UserError(
            "held-out captions, which the CRF was not distilled on",
            f"{len(seen)} of {len(heldout)} among its training captions, such as {example!r}",
            "remove them from the captions to evaluate on, or teach and distill without them",
        )


def normalize(caption: str) -> str:
    """Return the caption in the form in which equal captions are found."""
    return caption.strip().casefold()
