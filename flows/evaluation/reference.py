"""The ``reference`` stage: real images -> a store of their features, which later evaluations reuse."""

from crf.evaluation.methods import FEATURE_WIDTH, FEATURES
from crf.stages.arrays import FEATURES as FEATURES_ARRAY
from flows.parameters import ReferenceParameters
from flows.progress import Progress
from flows.shards.blocks import DecodeImages
from flows.shards.job import create_store, fill_store
from flows.stage import Stage, Target, Work
from storage import ArraySpec, Identity
from storage.identity import fingerprint_rows
from storage.inputs.images import scan_images
from storage.inputs.known_rows import read_known_rows

MODEL = "crf.stages.reference:ComputeFeatures"


def identify(params: ReferenceParameters) -> Target:
    images, shards = fingerprint_rows(scan_images(params.images, root=params.root), params.shard_rows)
    parameters = {"size": params.size, "shard_rows": params.shard_rows, "features": FEATURES}
    return Target.store(Identity("reference", 1, {"images": images}, parameters), shards, "images")


def compute(params: ReferenceParameters, work: Work, progress: Progress) -> None:
    arrays = {FEATURES_ARRAY: ArraySpec((FEATURE_WIDTH,), "float32", ("feature",))}
    store = create_store(work, arrays, "images", read_known_rows(params.images, params.root))
    fill_store(store, work.shards, DecodeImages(params.size), MODEL, {}, progress)
    store.seal()


REFERENCE = Stage("reference", identify, compute)
