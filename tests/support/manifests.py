"""Kubernetes manifests, and what they are checked against: the published schemas, which know no custom resource."""

import warnings
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]


def read_manifests(file: Path) -> list[Manifest]:
    return [document for document in yaml.load_all(file.read_text(), yaml.CSafeLoader) if document]


def check(manifest: Manifest) -> None:
    """Raise an error if a manifest of a built-in kind breaks its schema, or has a field that is not in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own way to read its schemas
        import kubernetes_validate

        kubernetes_validate.validate(manifest, "1.33", strict=True)


def list_pods(cluster: Manifest) -> list[Manifest]:
    """Make a pod of each template of a RayCluster."""
    spec = cluster["spec"]
    groups = [("head", spec["headGroupSpec"])] + [(group["groupName"], group) for group in spec["workerGroupSpecs"]]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**group["template"].get("metadata", {}), "name": name},
            "spec": group["template"]["spec"],
        }
        for name, group in groups
    ]


def make_strict(schema: Any) -> Any:
    """Of a custom resource's schema: allow only the fields that it names, and text or number where it says so."""
    if isinstance(schema, list):
        return [make_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: make_strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        strict.setdefault("additionalProperties", False)
    return strict
