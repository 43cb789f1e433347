"""Stages: parameters -> target -> plan -> result, in plain functions. The flows only wire them to Prefect."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, Literal, Self, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel, ConfigDict

from flows.progress import Progress
from flows.shards.truncation import read_truncated
from flows.targets import find_target
from storage import Identity, locations
from storage.identity import DOCUMENT, read_identity
from storage.records import read_record
from storage.seals import MANIFEST, is_sealed
from storage.store.layout import list_committed_shards
from storage.store.records import StoreManifest
from storage.store.reuse import find_sources, fingerprint_shards

P = TypeVar("P", bound=BaseModel)
PlanState = Literal["fresh", "stale", "partial", "missing"]


@dataclass(frozen=True)
class Target:
    """The output to make: its identity, its number of units and, for a store, the fingerprint of each shard."""

    identity: Identity
    total: int
    shards: list[str] = field(default_factory=list)

    @classmethod
    def store(cls, identity: Identity, rows: list[str], *row_sets: str) -> Self:
        """Describe a store.

        ``rows``: the fingerprint of each shard's rows. ``row_sets``: the inputs that a shard depends on only through
        its own rows, or not at all.
        """
        return cls(identity, len(rows), fingerprint_shards(identity.without(*row_sets), rows))


@dataclass(frozen=True)
class Work:
    """A target with the URL of its output and the number of units that are done."""

    identity: Identity
    url: str
    done: int
    total: int
    shards: list[str]

    @property
    def sealed(self) -> bool:
        return is_sealed(self.url)


@dataclass(frozen=True)
class Stage(Generic[P]):
    """A stage: ``find_target`` is quick and loads no model; ``compute`` makes the output, or resumes it.

    ``unit``: what progress counts. ``done``: the number of units that an unfinished output has.
    """

    name: str
    find_target: Callable[[P], Target]
    compute: Callable[[P, Work, Progress], None]
    unit: str = "shards"
    done: Callable[[str], int] = lambda url: len(list_committed_shards(url))

    def identify(self, params: P) -> Target:
        """Find the target. Within ``find_once`` it is found once."""
        return find_target(self.name, params.model_dump_json(), lambda: self.find_target(params))


@dataclass(frozen=True)
class StagePlan:
    """A line of ``latentcrf plan``: whether a run would make the output, and why."""

    stage: str
    state: PlanState
    reason: str
    done: int
    total: int
    fingerprint: str


class StageResult(BaseModel):
    """The result of a stage, as ``--json`` prints it. A store has counts: rows, valid, rejected, truncated captions."""

    model_config = ConfigDict(frozen=True)

    stage: str
    state: Literal["computed", "cached"]
    fingerprint: str
    url: str
    rows: int | None = None
    valid: int | None = None
    rejected: int | None = None
    truncated: int | None = None


def find_work(stage: Stage[P], params: P, root: str) -> Work:
    """Find the stage's output for these parameters: its URL, and how much of it is done."""
    target = stage.identify(params)
    url = target.identity.url(locations.make_absolute(root))
    done = target.total if is_sealed(url) else stage.done(url)
    return Work(target.identity, url, done, target.total, target.shards)


def plan_stage(stage: Stage[P], params: P, root: str) -> StagePlan:
    """Plan a stage: fresh or, if not, which inputs and parameters differ from the nearest output of the stage.

    Shards that can be copied from older outputs count as done.
    """
    work = find_work(stage, params, root)
    if work.sealed:
        return StagePlan(stage.name, "fresh", "sealed", work.done, work.total, work.identity.fingerprint)
    sources = find_sources(work.url, work.shards)
    older = None if work.done else nearest_other(work, root)
    reasons = [f"{work.done} of {work.total} {stage.unit} are done"] if work.done else []
    if older:
        reasons.append(f"changed: {', '.join(work.identity.changes_since(older))}")
    if sources:
        urls = ", ".join(sorted({source.url for source in sources.values()}))
        reasons.append(f"{len(sources)} of {work.total} {stage.unit} can be copied from {urls}")
    done = work.done + len(sources)
    state: PlanState = "partial" if done else "stale" if older else "missing"
    reason = "; ".join(reasons) or "never made"
    return StagePlan(stage.name, state, reason, done, work.total, work.identity.fingerprint)


def nearest_other(work: Work, root: str) -> Identity | None:
    """Return the identity of the stage's sealed output that shares most with this one."""
    stage_url = locations.join(locations.make_absolute(root), work.identity.stage)
    urls = [locations.join(stage_url, name) for name in locations.list_names(stage_url)]
    older = [read_identity(url) for url in urls if is_sealed(url) and locations.exists(locations.join(url, DOCUMENT))]
    return min(older, key=lambda other: len(work.identity.changes_since(other)), default=None)


def run_stage(stage: Stage[P], params: P, root: str) -> StageResult:
    """Make the output unless it exists. After an error the next run resumes what has been committed."""
    work = find_work(stage, params, root)
    state: Literal["computed", "cached"] = "cached"
    if not work.sealed:
        work.identity.write(locations.make_absolute(root))
        with Progress(stage.name, work.done, work.total) as progress:
            stage.compute(params, work, progress)
        state = "computed"
    return StageResult(
        stage=stage.name,
        state=state,
        fingerprint=work.identity.fingerprint,
        url=work.url,
        **(count_rows(work.url) if work.shards else {}),
        **read_truncated(work.url),
    )


def count_rows(url: str) -> dict[str, int]:
    """How many rows a sealed store has, and how many of them are valid and rejected."""
    manifest = read_record(locations.join(url, MANIFEST), StoreManifest)
    return {"rows": manifest.rows, "valid": manifest.valid, "rejected": manifest.rejected}


def prefect_state(result: StageResult) -> State[StageResult]:
    """Wrap a result as a flow's final state, which the Prefect UI shows as ``Cached`` if nothing had to be done."""
    name = "Cached" if result.state == "cached" else "Completed"
    return Completed(name=name, message=f"{result.stage} {result.fingerprint} at {result.url}", data=result)


def provenance(work: Work, **more: Any) -> dict[str, Any]:
    """Describe how an output is made: its identity, the software's versions, and what else the stage knows."""
    import importlib.metadata

    versions = {name: importlib.metadata.version(name) for name in ("latentcrf", "torch", "diffusers", "zarr", "ray")}
    return {**asdict(work.identity), "fingerprint": work.identity.fingerprint, "software": versions, **more}


def input_fingerprint(url: str) -> str:
    """Return the fingerprint of another stage's output, which is the last part of its URL."""
    return locations.get_name(url)
