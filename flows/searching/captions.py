"""The caption sets of a search must be disjoint: a schedule looks too good on captions that it was chosen on."""

from itertools import combinations

from flows.parameters.searching import SearchParameters
from flows.shards.samples import iterate_samples
from storage import UserError, locations
from storage.store.index import read_index_shards
from storage.store.layout import INDEX


def read_sets(params: SearchParameters) -> dict[str, list[str]]:
    """Read the captions of the four sets: those of the trajectories, and those to calibrate, select and test on."""
    index = locations.join(params.trajectories, INDEX)
    sets = {"trajectories": [text for part in read_index_shards(index) for text in part["caption"].to_pylist()]}
    for name, (captions, limit) in params.caption_sets.items():
        sets[name] = [row["caption"] for row in iterate_samples(captions, limit)]
    return sets


def list_seen(params: SearchParameters) -> list[str]:
    """List the captions that the front is chosen by: all but the test's."""
    return [caption for name, captions in read_sets(params).items() if name != "test" for caption in captions]


def check_calibration(params: SearchParameters) -> None:
    """Raise UserError if the first round leaves no captions to calibrate on for the second."""
    count = len(read_sets(params)["calibrate"])
    if count <= params.first_captions:
        raise UserError(
            f"more calibration captions than the {params.first_captions} of the first round",
            str(count),
            "give more, or lower --first-captions",
        )


def check_disjoint(params: SearchParameters) -> None:
    """Raise UserError if two of the four sets share a caption, apart from case and outer spaces."""
    sets = {name: {caption.strip().casefold() for caption in captions} for name, captions in read_sets(params).items()}
    for (name, texts), (other, others) in combinations(sets.items(), 2):
        if shared := sorted(texts & others):
            raise UserError(
                f"different captions in {name} and {other}",
                f"{len(shared)} in both, such as {shared[0]!r}",
                "remove them from one, or use limits",
            )
