"""What sets a figure of ours apart from the paper's: the reason why the two are not comparable."""

from dataclasses import asdict, dataclass

from crf.model.config import CRFOptions
from flows.protocols.named import PROTOCOLS, NamedProtocol
from flows.reproduce.paper import Method, QuantityName
from flows.reproduce.reports import Document, Row

# The protocol that the paper measured each quantity by. Times depend on the machine alone.
MEASURED_BY: dict[QuantityName, str] = {
    "fid": "coco30k",
    "clip": "coco30k",
    "vendi": "parti",
    "vendi_lost": "parti",
}
# The network whose features a quantity is defined on, whatever else its protocol measures.
NETWORKS: dict[QuantityName, str] = {"clip": "CLIP"}


@dataclass(frozen=True)
class Difference:
    """One difference between an evaluation and the paper's: in a few words for a table's cell, and as a sentence."""

    short: str
    sentence: str


TEACHER = Difference("teacher", "The teacher is another: the paper's, of 865 M parameters, is not public.")


def list_differences(quantity: QuantityName, method: Method, row: Row, document: Document) -> list[Difference]:
    """List what sets a figure of a report's row apart from the paper's figure of the same quantity."""
    found = [TEACHER]
    if quantity in MEASURED_BY:
        protocol = PROTOCOLS[MEASURED_BY[quantity]]
        found += compare_protocols(protocol, document, NETWORKS.get(quantity, protocol.features))
    else:
        found += [Difference("machine", "The machine is another; the paper timed TPUs.")]
    return found + compare_methods(method, row, document)


def compare_protocols(protocol: NamedProtocol, document: Document, network: str) -> list[Difference]:
    """List what sets an evaluation apart from a named protocol."""
    ran = document.protocol
    found = []
    if ran.captions.n != protocol.limit:
        sentence = f"{ran.captions.n:,} captions, not {protocol.limit:,} {protocol.captions.role}."
        found.append(Difference(f"{ran.captions.n:,} captions", sentence))
    if protocol.images and (ran.real is None or ran.real.n != protocol.images.count):
        count = ran.real.n if ran.real else 0
        sentence = f"{count:,} real images, not the {protocol.images.count:,} {protocol.images.role}."
        found.append(Difference(f"{count:,} real images", sentence))
    if network.lower() not in ran.features.name.lower():
        found.append(Difference("features", f"Features from {ran.features.name}, not from {network}."))
    if ran.noises != protocol.noises:
        found.append(Difference(f"noises {ran.noises}", f"Noises per caption: {ran.noises}, not {protocol.noises}."))
    if ran.guidance != protocol.guidance_scale:
        sentence = f"Guidance {ran.guidance:g}, not {protocol.guidance_scale:g}."
        found.append(Difference(f"guidance {ran.guidance:g}", sentence))
    if ran.size != protocol.size:
        found.append(Difference(f"{ran.size} px", f"Images of {ran.size} pixels per side, not {protocol.size}."))
    return found


def compare_methods(method: Method, row: Row, document: Document) -> list[Difference]:
    """List what sets a method of ours apart from the paper's: its steps and the form of its CRF."""
    found = []
    if row.schedule != method.schedule:
        found.append(Difference("steps", f"Steps {row.schedule}, not {method.schedule}."))
    if row.kind == "crf" and document.made.crf:
        papers = {**asdict(CRFOptions()), **method.crf}
        changed = {name: document.made.crf.get(name, value) for name, value in papers.items()}
        changed = {name: value for name, value in changed.items() if value != papers[name]}
        if changed:
            named = ", ".join(f"{name} {value} (not {papers[name]})" for name, value in changed.items())
            found.append(Difference("form of the CRF", f"The CRF has {named}."))
    return found
