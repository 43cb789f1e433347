"""The outputs below a root: their progress, and which was made from which."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from storage import locations
from storage.checkpoints import MARKERS
from storage.errors import UserError
from storage.identity import DOCUMENT, Identity, read_identity
from storage.records import read_record
from storage.seals import MANIFEST, is_sealed, read_seal_time
from storage.store.layout import CREATED
from storage.store.records import CreatedRecord

COMMIT = re.compile(r"commits/\d{5,}\.json")
CHECKPOINT = re.compile(rf"checkpoints/step-(\d+)/({'|'.join(map(re.escape, MARKERS))})")


@dataclass(frozen=True)
class Output:
    """One output of a stage.

    ``sizes``: path -> size in bytes of each of its objects. ``rows``: number of rows of a store; None for any other
    output, or before the store's layout is complete.
    """

    url: str
    identity: Identity
    sizes: dict[str, int]
    rows: int | None

    @property
    def fingerprint(self) -> str:
        """The fingerprint in the output's URL."""
        return locations.get_name(self.url)

    @property
    def kind(self) -> Literal["store", "checkpoint", "report"]:
        """What the stage made: a latent store, a trained CRF, or the evaluation's report."""
        if self.identity.stage == "evaluate":
            return "report"
        return "store" if "shard_rows" in self.identity.parameters else "checkpoint"

    @property
    def sealed(self) -> bool:
        """Whether the output is finished."""
        return MANIFEST in self.sizes

    @property
    def progress(self) -> tuple[int, int]:
        """(committed shards, all shards); for a training, (step of the newest checkpoint, last step)."""
        if self.kind == "checkpoint":
            found = [CHECKPOINT.fullmatch(path) for path in self.sizes]
            total = self.identity.parameters["steps"]
            return total if self.sealed else max((int(step[1]) for step in found if step), default=0), total
        shard_rows = self.identity.parameters["shard_rows"]
        return sum(bool(COMMIT.fullmatch(path)) for path in self.sizes), -(-(self.rows or 0) // shard_rows)

    def age(self) -> float:
        """Compute the seconds since the output was sealed or, if it is not, since a run of its stage last began."""
        begun = locations.join(self.url, DOCUMENT)
        since = read_seal_time(self.url) if self.sealed else locations.read_modified_time(begun)
        return (datetime.now(UTC) - since).total_seconds()


def find_outputs(root: str) -> list[Output]:
    """Find every output below a root, sorted by stage and fingerprint. Raises UserError if there is none."""
    root = locations.make_absolute(root)
    urls = [url for stage in locations.list_names(root) for url in list_urls(root, stage)]
    outputs = [read_output(url) for url in urls if locations.exists(locations.join(url, DOCUMENT))]
    if not outputs:
        raise UserError("a root with outputs ({root}/{stage}/{fingerprint})", f"none below {root}", "check the URL")
    return outputs


def find_newest(root: str, stage: str) -> str | None:
    """Find the URL of the stage's output that was sealed last; None if none is sealed."""
    sealed = [url for url in list_urls(locations.make_absolute(root), stage) if is_sealed(url)]
    return max(sealed, key=read_seal_time, default=None)


def list_urls(root: str, stage: str) -> list[str]:
    """List the URLs of all folders of a stage, sorted. Some may not be outputs."""
    return [locations.join(root, stage, name) for name in locations.list_names(locations.join(root, stage))]


def read_output(url: str) -> Output:
    """Read an output's identity and list all of its objects."""
    sizes = locations.find(url)
    rows = read_record(locations.join(url, CREATED), CreatedRecord).rows if CREATED in sizes else None
    return Output(url, read_identity(url), sizes, rows)


def find_dependencies(output: Output, outputs: Iterable[Output]) -> list[Output]:
    """Find everything among ``outputs`` that an output was made from, directly or indirectly, itself included."""
    by_fingerprint = {other.fingerprint: other for other in outputs}
    reached, waiting = {}, [output]
    while waiting:
        now = waiting.pop()
        reached[now.url] = now
        waiting += [by_fingerprint[key] for key in now.identity.inputs.values() if key in by_fingerprint]
    return list(reached.values())


def trace_inputs(url: str) -> list[Output]:
    """Read an output and everything below the same root that it was made from, inputs first."""
    root, _, _ = url.rsplit("/", 2)
    places = {
        locations.get_name(place): place for stage in locations.list_names(root) for place in list_urls(root, stage)
    }
    traced: dict[str, Output] = {}

    def visit(fingerprint: str) -> None:
        place = places.get(fingerprint)
        if fingerprint in traced or place is None or not locations.exists(locations.join(place, DOCUMENT)):
            return
        output = read_output(place)
        for made_from in output.identity.inputs.values():
            visit(made_from)
        traced[fingerprint] = output

    visit(locations.get_name(url))
    return list(traced.values())


def find_teacher_parts(output: Output, outputs: Iterable[Output]) -> dict[str, str]:
    """Find the teacher's components that an output depends on, directly or indirectly: name -> fingerprint."""
    inputs = [item for made_from in find_dependencies(output, outputs) for item in made_from.identity.inputs.items()]
    return {name.removeprefix("teacher."): value for name, value in sorted(inputs) if name.startswith("teacher.")}


def split_by_use(outputs: list[Output], keep: list[str]) -> tuple[list[Output], list[Output]]:
    """Split outputs into those to keep and the rest.

    ``keep``: URLs or fingerprints of outputs to keep, together with everything that they were made from. Raises
    UserError if one of them is not among the outputs.
    """
    needed: set[str] = set()
    for name in keep:
        named = [
            output for output in outputs if name == output.fingerprint or locations.make_absolute(name) == output.url
        ]
        if not named:
            raise UserError(
                "the URL or the fingerprint of an output to keep", name, "choose one that `latentcrf ls` lists"
            )
        needed |= {other.url for output in named for other in find_dependencies(output, outputs)}
    return [o for o in outputs if o.url in needed], [o for o in outputs if o.url not in needed]


def remove_output(output: Output) -> None:
    """Remove an output: first its seal, then the rest, so that an interrupted removal leaves an unfinished output."""
    records = sorted((path for path in output.sizes if path.endswith(".json")), key=lambda path: path != MANIFEST)
    for path in [path for path in records if path != DOCUMENT]:
        locations.remove(locations.join(output.url, path))
    locations.remove_folder(output.url)
