"""Sample the held-out captions with every method, into a store with each sample's errors."""

from collections.abc import Iterator
from typing import Any

from crf.evaluation.methods import Method
from crf.stages.arrays import TRUNCATED, name_values
from flows.evaluation.features import describe_features
from flows.parameters.evaluation import EvaluateParameters
from flows.progress import Progress
from flows.shards.blocks import SeedRows
from flows.shards.job import create_store, fill_store
from flows.shards.model import ModelSpec
from flows.shards.samples import iterate_samples
from flows.shards.teachers import read_shape
from flows.shards.truncation import TRUNCATED_SPEC
from flows.stage import Work
from storage import ArraySpec, LatentStore, locations
from storage.inputs.captions import scan_captions
from storage.inputs.rows import Row

MODEL = "crf.stages.evaluate:CompareMethods"


def list_samples(params: EvaluateParameters) -> Iterator[Row]:
    """Yield the rows of the samples."""
    return iterate_samples(params.captions, params.limit, params.count_noises)


def list_tested_captions(params: EvaluateParameters) -> tuple[str, ...]:
    """List the distinct captions of the teacher's own caption test."""
    rows = scan_captions(params.captions, params.caption_test) if params.caption_test else iter(())
    return tuple(dict.fromkeys(row["caption"] for row in rows))


def sample_methods(
    params: EvaluateParameters, work: Work, methods: tuple[Method, ...], progress: Progress
) -> tuple[LatentStore, dict[str, Any]]:
    """Sample with every method. Returns the store, which is not sealed yet, and the description of the features."""
    features, has_text = describe_features(params.features)
    store = create_sample_store(params, work, methods, features["width"], has_text)
    arguments = {
        "guidance_scale": params.guidance_scale,
        "size": work.identity.parameters["size"],
        "methods": methods,
        "st_lpips": params.st_lpips,
        "caption_test": list_tested_captions(params),
        "dtype": params.dtype,
        "micro_batch": params.micro_batch,
        "compiled": params.resources.compile,
    }
    folders = {**list_models(params), **({"features_path": params.features} if params.features else {})}
    model = ModelSpec(MODEL, arguments, folders)
    fill_store(store, work.shards, SeedRows(params.seed), model, params.resources, progress)
    return store, features


def list_models(params: EvaluateParameters) -> dict[str, str]:
    """List the URLs of the teacher and, if there is one, of the CRF, as ``ModelSpec.folders``."""
    crf = {"crf_path": locations.make_absolute(params.crf)} if params.crf else {}
    return {"teacher_path": params.teacher, **crf}


def create_sample_store(
    params: EvaluateParameters, work: Work, methods: tuple[Method, ...], width: int, has_text: bool
) -> LatentStore:
    """Create the store of every method's latents, features and values per sample.

    ``width``: number of features. ``has_text``: whether the feature network encodes captions, too.
    """
    shape = read_shape(params.teacher)
    channels, height, side = shape.latent_shape(work.identity.parameters["size"])
    keys = [method.key for method in methods]
    arrays = {TRUNCATED: TRUNCATED_SPEC}
    for key in keys:
        arrays[f"latents_{key}"] = ArraySpec.latent(height, side, channels)
        arrays[f"features_{key}"] = ArraySpec((width,), "float32", ("feature",))
    values = name_values(keys, params.st_lpips, has_text, bool(params.caption_test))
    arrays |= dict.fromkeys(values, ArraySpec((), "float32", ()))
    return create_store(work, arrays, "captions", list_samples(params))
