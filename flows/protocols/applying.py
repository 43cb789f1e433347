"""Apply a named protocol to a run of ``evaluate``: fill its parameters, check its inputs, mark what deviates."""

import hashlib
from collections.abc import Mapping
from typing import Any

from flows.protocols.named import PROTOCOLS, InputSet, NamedProtocol
from storage import locations
from storage.errors import UserError


def fill_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fill the parameters of ``evaluate`` that its ``protocol`` fixes, except those that ``values`` already has."""
    protocol = PROTOCOLS.get(values.get("protocol") or "")
    return {**(protocol.parameters if protocol else {}), **values}


def describe_protocol(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe the named protocol of a run for its report: name, version and what the run does otherwise.

    Returns None if the run has no named protocol.
    """
    protocol = PROTOCOLS.get(values.get("protocol") or "")
    if protocol is None:
        return None
    deviations = list_deviations(protocol, values)
    return {"name": protocol.name, "version": protocol.version, "deviations": deviations}


def list_deviations(protocol: NamedProtocol, values: Mapping[str, Any]) -> list[str]:
    """List the parameters of a run that differ from the protocol's, e.g. "guidance_scale 4.0, not 7.5"."""
    return [
        f"{name} {values[name]}, not {fixed}" for name, fixed in protocol.parameters.items() if values[name] != fixed
    ]


def check_captions(protocol: NamedProtocol, url: str) -> None:
    """Raise UserError unless the file has the captions that the protocol is defined on."""
    from storage.inputs.captions import scan_captions

    check_input(protocol, protocol.captions, url, sum(1 for _ in scan_captions(url)), "--captions")


def check_images(protocol: NamedProtocol, url: str, count: int) -> None:
    """Raise UserError unless the image set has the images that the protocol is defined on.

    ``count``: number of images in the set, which ``evaluate`` has scanned already.
    """
    if protocol.images:
        check_input(protocol, protocol.images, url, count, "--images")


def check_input(protocol: NamedProtocol, expected: InputSet, url: str, count: int, option: str) -> None:
    """Raise UserError unless a set has as many rows as the protocol's and, if that is known, the same bytes."""
    next_step = f"give the whole set with {option}, or leave out --protocol"
    needed = f"the {expected.count:,} {expected.role} for the protocol {protocol.name}"
    if count != expected.count:
        raise UserError(needed, f"{count:,} in {url}", next_step)
    if expected.sha256 and hashlib.sha256(locations.read_bytes(url)).hexdigest() != expected.sha256:
        raise UserError(needed, f"other bytes in {url}", next_step)
