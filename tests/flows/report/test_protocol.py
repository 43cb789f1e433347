"""The protocol: what makes two reports comparable. Its id must not change by accident."""

from typing import Any

import pytest

from flows.commands.configs import load_config
from flows.evaluation.features import describe_features
from flows.parameters.evaluation import EvaluateParameters
from flows.report.protocol import compute_protocol_id, describe_protocol, list_differences
from flows.shards.samples import iterate_samples
from storage import Identity
from storage.identity import fingerprint_rows
from storage.inputs.images import scan_images


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The protocol of 64 captions of the demo, as ``evaluate`` describes it."""
    demo = load_config("demo", None)
    options = {"limit": 64, "noises": 1, "vendi_captions": 8, "vendi_noises": 4, "guidance_scale": 4}
    params = EvaluateParameters(
        captions=demo.heldout_captions, images=demo.heldout_images, teacher=demo.teacher, **options
    )
    samples = list(iterate_samples(params.captions, params.limit, params.count_noises))
    images = list(scan_images(params.images, root=str(tmp_path_factory.mktemp("root"))))
    inputs = {"captions": fingerprint_rows(samples, 64).fingerprint, "images": fingerprint_rows(images, 64).fingerprint}
    identity = Identity("evaluate", 4, inputs, {"size": 128})
    return describe_protocol(params, identity, describe_features(None)[0], 64, len(samples), len(images))


def test_the_demos_protocol_keeps_its_id(protocol: dict[str, Any]) -> None:
    """If you mean to change it, raise a version in ``flows.report.protocol``: older reports do not compare any more."""
    assert (protocol["samples"], protocol["images"]["count"]) == (88, 376)
    assert compute_protocol_id(protocol) == "bbe49daea197"


def test_the_order_of_fields_does_not_matter(protocol: dict[str, Any]) -> None:
    assert compute_protocol_id(dict(reversed(protocol.items()))) == compute_protocol_id(protocol)


def test_every_difference_is_named_once(protocol: dict[str, Any]) -> None:
    other = {**protocol, "size": 64, "captions": {**protocol["captions"], "count": 3}}
    del other["noises"]
    assert list_differences(protocol, other) == ["captions.count: 64, 3", "noises: 1, null", "size: 128, 64"]
    assert list_differences(protocol, protocol) == []
