"""Measure how far a method's images are from the real ones, as sets of features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.jackknife import Groups, assign_groups, estimate_frechet_difference, group_moments
from crf.metrics.kernel_distance import compute_kernel_distance
from crf.metrics.moments import Moments
from crf.metrics.neighbours import measure_neighbourhoods
from crf.metrics.row_sample import RowSample
from crf.stages.arrays import FEATURES
from storage import LatentStore

Array = npt.NDArray[Any]
NEIGHBOURHOODS = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class FeatureSet:
    """What the metrics need of a set of features: its moments, by group of captions, and a sample of its rows."""

    groups: Groups
    sample: RowSample

    @property
    def moments(self) -> Moments:
        """The moments of the whole set."""
        first, *others = self.groups.values()
        for other in others:
            first = first.merge(other)
        return first


def read_features(store: LatentStore, key: str, captions: list[str]) -> FeatureSet:
    """Read a method's features, shard by shard.

    ``captions``: the id of each sample's caption.
    """
    groups_N = assign_groups(captions)
    ids = store.index["id"].to_pylist()
    read: FeatureSet | None = None
    for shard in range(store.shard_count):
        rows = store.extent(shard)
        read = merge(read, store.values(f"features_{key}", shard), groups_N[rows], ids[rows])
    assert read
    return read


def read_real_features(store: LatentStore) -> FeatureSet:
    """Read the features of the real images that are valid, as one group, shard by shard."""
    ids, valid = np.array(store.index["id"].to_pylist()), store.valid
    read: FeatureSet | None = None
    for shard in range(store.shard_count):
        rows = store.extent(shard)
        kept = valid[rows]
        read = merge(read, store.values(FEATURES, shard)[kept], np.zeros(kept.sum(), int), list(ids[rows][kept]))
    assert read
    return read


def merge(read: FeatureSet | None, features_ND: Array, groups_N: Array, ids: list[str]) -> FeatureSet:
    """Add a shard's features to those read so far."""
    groups, sample = group_moments(features_ND, groups_N), RowSample.of(features_ND, ids)
    if read is None:
        return FeatureSet(groups, sample)
    merged = dict(read.groups)
    for group, moments in groups.items():
        merged[group] = merged[group].merge(moments) if group in merged else moments
    return FeatureSet(merged, read.sample.merge(sample))


def measure_distances(made: FeatureSet, reference: FeatureSet | None, real: FeatureSet) -> dict[str, Any]:
    """Measure a row's distances to the real images by name. A number that would mean nothing is None.

    Args:
        made: The method's images.
        reference: The reference method's, to whose distance the difference is computed; None for itself.
        real: The real images.
    """
    nothing = dict.fromkeys(("distance_to_real", "kid_to_real", *NEIGHBOURHOODS))
    if min(made.moments.count, real.moments.count) < 2:
        return nothing
    distance = {
        "value": compute_frechet_distance(made.moments, real.moments),
        "difference": None,
        "low": None,
        "high": None,
    }
    if reference and len(made.groups) > 2:  # a jackknife leaves one out, and a distance needs two samples
        found = estimate_frechet_difference(made.groups, reference.groups, real.moments)
        distance |= {"difference": found.value, "low": found.low, "high": found.high}
    neighbourhoods = measure_neighbourhoods(made.sample.features_KD, real.sample.features_KD)
    return {
        **nothing,
        "distance_to_real": distance,
        "kid_to_real": compute_kernel_distance(made.sample.features_KD, real.sample.features_KD),
        **(neighbourhoods._asdict() if neighbourhoods else {}),
    }
