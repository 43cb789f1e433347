"""Apply a named protocol to a run of ``evaluate``: fill its parameters, check its inputs, mark what deviates."""

import hashlib
from collections.abc import Container, Mapping
from typing import Any

from flows.protocols.named import PROTOCOLS, InputSet, NamedProtocol
from storage import locations
from storage.errors import UserError


def fill_parameters(values: Mapping[str, Any], names: Container[str]) -> dict[str, Any]:
    """Fill parameters that the run's ``protocol`` fixes, except those that ``values`` already has.

    ``names``: the parameters to fill, if the protocol fixes them.
    """
    protocol = PROTOCOLS.get(values.get("protocol") or "")
    fixed = protocol.parameters if protocol else {}
    return {**{name: value for name, value in fixed.items() if name in names}, **values}


def describe_run(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe the named protocol of a run: name, version and how the run deviates. None if it has none."""
    protocol = PROTOCOLS.get(values["protocol"] or "")
    if protocol is None:
        return None
    return {"name": protocol.name, "version": protocol.version, "deviations": list_deviations(protocol, values)}


def list_deviations(protocol: NamedProtocol, values: Mapping[str, Any]) -> list[str]:
    """List the parameters of a run that differ from the protocol's, e.g. "guidance_scale 4.0, not 7.5"."""
    return [
        f"{name} {values[name]}, not {fixed}"
        for name, fixed in protocol.parameters.items()
        if name in values and values[name] != fixed
    ]


def format_deviations(run: dict[str, Any] | None) -> str:
    """Say how a run, as ``describe_run`` describes it, deviates from its protocol; "" if it does not."""
    return f"; deviates from {run['name']}: {'; '.join(run['deviations'])}" if run and run["deviations"] else ""


def check_inputs(protocol: NamedProtocol, captions: str, images: str, root: str) -> None:
    """Raise UserError unless captions and real images are the sets that the protocol is defined on.

    ``root``: URL of the outputs, below which the rows of scanned images are kept.
    """
    from storage.inputs.captions import scan_captions
    from storage.inputs.images import scan_images

    check_input(protocol, protocol.captions, captions, sum(1 for _ in scan_captions(captions)), "--captions")
    if protocol.images:
        count = sum(1 for _ in scan_images(images, root=root))
        check_input(protocol, protocol.images, images, count, "--images")


def check_input(protocol: NamedProtocol, expected: InputSet, url: str, count: int, option: str) -> None:
    """Raise UserError unless a set has as many rows as the protocol's and, if that is known, the same bytes."""
    next_step = f"give the whole set with {option}, or leave out --protocol"
    needed = f"the {expected.count:,} {expected.role} for the protocol {protocol.name}"
    if count != expected.count:
        raise UserError(needed, f"{count:,} in {url}", next_step)
    if expected.sha256 and hashlib.sha256(locations.read_bytes(url)).hexdigest() != expected.sha256:
        raise UserError(needed, f"other bytes in {url}", next_step)
