"""The ``reference`` stage: real images -> a store of their features, which later evaluations reuse."""

from crf.stages.arrays import FEATURES
from flows.evaluation.features import describe_features, identify_features
from flows.parameters.base import Options
from flows.parameters.running import Resources
from flows.progress import Progress
from flows.shards.blocks import DecodeImages
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.stage import Stage, Target, Work
from storage import ArraySpec, Identity
from storage.errors import UserError
from storage.identity import fingerprint_rows
from storage.inputs.images import scan_images
from storage.inputs.known_rows import read_known_rows

MODEL = "crf.stages.reference:ComputeFeatures"


class ReferenceParameters(Options):
    """Parameters of ``reference``, which ``evaluate`` runs."""

    images: str
    size: int
    features: str | None
    root: str
    resources: Resources
    shard_rows: int = 64


def identify(params: ReferenceParameters) -> Target:
    images = fingerprint_rows(scan_images(params.images, root=params.root), params.shard_rows)
    parameters = {
        "size": params.size,
        "shard_rows": params.shard_rows,
        "features": identify_features(params.features),
    }
    return Target.store(Identity("reference", 1, {"images": images.fingerprint}, parameters), images, "images")


def compute(params: ReferenceParameters, work: Work, progress: Progress) -> None:
    description, _ = describe_features(params.features)
    arrays = {FEATURES: ArraySpec((description["width"],), "float32", ("feature",))}
    store = create_store(work, arrays, "images", read_known_rows(params.images, params.root))
    model = ModelSpec(MODEL, folders={"features_path": params.features} if params.features else {})
    fill_store(store, work.shards, DecodeImages(params.size), model, params.resources, progress)
    if not store.valid.any():
        raise UserError("real images that can be read", f"none in {params.images}", "check --images")
    store.seal()


REFERENCE = Stage("reference", identify, compute)
