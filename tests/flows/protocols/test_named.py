import hashlib
import re
from pathlib import Path

import pytest

from flows.protocols.named import DEMO, PROTOCOLS, NamedProtocol
from storage.inputs.captions import scan_captions
from storage.inputs.images import scan_images

ROOT = Path(__file__).parents[3]


def test_the_demos_sets_are_those_that_the_project_ships() -> None:
    """If this fails, the demo's held-out set changed: raise the protocol's version."""
    file = ROOT / "deploy/demo/images" / "heldout.parquet"
    assert DEMO.images
    assert DEMO.captions.sha256 == DEMO.images.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert DEMO.captions.count == sum(1 for _ in scan_captions(str(file)))
    assert DEMO.images.count == sum(1 for _ in scan_images(str(file)))


def test_parti_is_the_papers() -> None:
    parti = PROTOCOLS["parti"]
    assert (parti.captions.count, parti.noises, parti.guidance_scale, parti.size) == (1_632, 16, 7.5, 512)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_protocol_asks_for_no_more_captions_than_its_set_has(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.name == name
    assert protocol.vendi_captions <= protocol.limit <= protocol.captions.count
    assert ("vendi" in protocol.metrics) == bool(protocol.vendi_captions)
    assert ("distance_to_real" in protocol.metrics) <= bool(protocol.images)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_documentation_says_what_a_protocol_holds_fixed(protocol: NamedProtocol) -> None:
    page = (ROOT / "docs/reproduce.md").read_text()
    heading, *rows = [re.split(r" *\| *", line)[1:-1] for line in page.splitlines() if line.startswith("|")]
    column = heading.index(f"`{protocol.name}`")
    told = {row[0]: row[column] for row in rows if len(row) == len(heading)}
    assert f"{protocol.captions.count:,}" in told["captions"]
    assert f"{protocol.limit:,}" in told["captions"]
    assert (f"{protocol.images.count:,}" if protocol.images else "none") in told["real images"]
    assert told["noises per caption"].startswith(str(protocol.noises))
    assert float(told["guidance"]) == protocol.guidance_scale
    assert told["size"] == str(protocol.size or "the teacher's own")
