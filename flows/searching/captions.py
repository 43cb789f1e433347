"""The caption sets of a search must be disjoint: a schedule looks too good on captions that it was chosen on."""

from itertools import combinations

from flows.parameters import SearchParameters
from flows.samples import iterate_samples
from storage import UserError, locations
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


def check_disjoint(params: SearchParameters) -> None:
    """Raise UserError if two of the four sets (train, calibrate, select, test) share a caption."""
    index = locations.join(params.trajectories, INDEX)
    sets = {
        "trajectories": {normalize(text) for part in read_index_shards(index) for text in part["caption"].to_pylist()}
    }
    for name, (captions, limit) in params.caption_sets.items():
        sets[name] = {normalize(row["caption"]) for row in iterate_samples(captions, limit)}
    for (name, texts), (other, others) in combinations(sets.items(), 2):
        if shared := sorted(texts & others):
            raise UserError(
                f"different captions in {name} and {other}",
                f"{len(shared)} in both, such as {shared[0]!r}",
                "remove them from one, or use limits",
            )


def normalize(caption: str) -> str:
    """Return the caption in the form in which equal captions are found."""
    return caption.strip().casefold()
