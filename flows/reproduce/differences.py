"""What sets a figure of ours apart from the paper's: the reason why the two are not comparable."""

from dataclasses import asdict, dataclass

from crf.model.config import CRFOptions
from flows.protocols.named import PROTOCOLS, NamedProtocol
from flows.reproduce.paper import Counterpart, QuantityName
from flows.reproduce.reports import Document, Row

# The protocol that the paper measured each quantity by. Times depend on the machine alone.
MEASURED_BY: dict[QuantityName, str] = {
    "fid": "coco30k",
    "clip": "coco30k",
    "vendi": "parti",
    "vendi_drop": "parti",
}
COLUMNS: dict[QuantityName, str] = {
    "fid": "distance_to_real",
    "clip": "clip_score",
    "vendi": "vendi",
    "vendi_drop": "vendi",
}
"""Quantity -> the column of report.json that it is read from."""
# The network whose features a quantity is defined on, whatever else its protocol measures.
NETWORKS: dict[QuantityName, str] = {"clip": "CLIP"}


@dataclass(frozen=True)
class Difference:
    """One difference between an evaluation and the paper's: in a few words, and what the paper has instead."""

    short: str
    instead: str


TEACHER = Difference("teacher", "the paper's, of 865 M parameters, is not public")
MACHINE = Difference("machine", "the paper does not say which one it timed")


def list_differences(
    quantity: QuantityName, counterpart: Counterpart, row: Row, document: Document
) -> list[Difference]:
    """List what sets a figure of a report's row apart from the paper's figure of the same quantity."""
    if quantity not in MEASURED_BY:
        return [TEACHER, MACHINE, *compare_methods(counterpart, row, document)]
    protocol = PROTOCOLS[MEASURED_BY[quantity]]
    found = compare_protocols(protocol, document, name_network(quantity))
    too_few = [
        Difference("too few samples", f"with {name} this figure means little")
        for name in list_followed(document)
        if COLUMNS[quantity] not in PROTOCOLS[name].metrics
    ]
    return [TEACHER, *too_few, *found, *compare_methods(counterpart, row, document)]


def name_network(quantity: QuantityName) -> str:
    """Return the name of the network whose features a quantity is measured by; "" if it needs none."""
    return NETWORKS.get(quantity) or (PROTOCOLS[MEASURED_BY[quantity]].features if quantity in MEASURED_BY else "")


def list_followed(document: Document) -> list[str]:
    """List the named protocols that an evaluation followed."""
    return [
        name for name, protocol in PROTOCOLS.items() if not compare_protocols(protocol, document, protocol.features)
    ]


def compare_protocols(protocol: NamedProtocol, document: Document, network: str) -> list[Difference]:
    """List what sets an evaluation apart from a named protocol, with features of ``network``."""
    ran, by = document.protocol, f"with {protocol.name} it is"
    of_vendi = "vendi" in protocol.metrics and protocol.vendi_captions == protocol.limit
    captions, noises = (ran.vendi.captions, ran.vendi.noises) if of_vendi else (ran.captions.count, ran.noises)
    found = []
    if captions != protocol.limit:
        found.append(Difference(f"{captions:,} captions", f"{by} {protocol.limit:,}, of the {protocol.captions.role}"))
    if protocol.images and ran.images.count != protocol.images.count:
        instead = f"{by} the {protocol.images.count:,} {protocol.images.role}"
        found.append(Difference(f"{ran.images.count:,} real images", instead))
    if network.lower() not in ran.features.name.lower():
        found.append(Difference("features", f"from {ran.features.name}; {by} {network}"))
    if noises != protocol.noises:
        found.append(Difference(f"noises {noises}", f"{by} {protocol.noises} per caption"))
    if ran.guidance_scale != protocol.guidance_scale:
        found.append(Difference(f"guidance {ran.guidance_scale:g}", f"{by} {protocol.guidance_scale:g}"))
    if protocol.size and ran.size != protocol.size:
        found.append(Difference(f"{ran.size} px", f"{by} {protocol.size} pixels per side"))
    return found


def compare_methods(counterpart: Counterpart, row: Row, document: Document) -> list[Difference]:
    """List what sets a method of ours apart from the paper's: its steps and the form of its CRF."""
    found = []
    if row.schedule != counterpart.schedule:
        found.append(Difference("steps", f"{row.schedule}; the paper's are {counterpart.schedule}"))
    if row.kind == "crf" and document.made.crf:
        config, papers = document.made.crf, {**asdict(CRFOptions()), **counterpart.crf}
        changed = [
            f"{name} {config[name]} (the paper's: {value})"
            for name, value in papers.items()
            if name in config and config[name] != value
        ]
        if changed:
            found.append(Difference("form of the CRF", ", ".join(changed)))
    return found
