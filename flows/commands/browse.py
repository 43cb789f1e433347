"""Commands on existing outputs: list, show, verify, delete. They start no stage and no server."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from humanize import naturaldelta, naturalsize

from flows.commands.terminal import Json, print_columns, report

if TYPE_CHECKING:
    from storage.outputs import Output


def ls(root: str, *, json: Json = False) -> None:
    """List the outputs under ROOT: kind, rows, size, progress, teacher and age."""
    from storage.outputs import find_outputs

    print_outputs(find_outputs(root), json)


def print_outputs(outputs: "list[Output]", as_json: bool) -> None:
    from storage.outputs import find_teacher_parts

    records = [describe_output(output, find_teacher_parts(output, outputs)) for output in outputs]
    if as_json:
        report({"outputs": records}, "", as_json)
        return
    teachers = merge_teachers([item["teacher"] for item in records])
    lines = [
        {
            "stage": item["stage"],
            "fingerprint": item["fingerprint"],
            "kind": item["kind"],
            "rows": "" if item["rows"] is None else f"{item['rows']:,}",
            "size": naturalsize(item["bytes"], binary=True),
            "state": "sealed" if item["sealed"] else f"{item['done']} of {item['total']}",
            "teacher": " ".join(
                name for name, parts in teachers.items() if item["teacher"] and item["teacher"].items() <= parts.items()
            ),
            "age": naturaldelta(item["age_seconds"]),
        }
        for item in records
    ]
    print_columns(lines, right={"rows", "size", "age"})
    names = sorted({part for parts in teachers.values() for part in parts})
    print_columns(
        [{"teacher": name, **{part: parts.get(part, "")[:6] for part in names}} for name, parts in teachers.items()]
    )


def merge_teachers(found: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    """Number the distinct teachers "1", "2", … and merge what the outputs know about the parts of each.

    ``found`` holds the known parts of each output's teacher: part -> fingerprint.
    """
    whole = [parts for parts in found if not any(parts.items() < others.items() for others in found)]
    distinct = [parts for place, parts in enumerate(whole) if parts and parts not in whole[:place]]
    return {str(number): parts for number, parts in enumerate(distinct, 1)}


def describe_output(output: "Output", teacher: dict[str, str]) -> dict[str, Any]:
    done, total = output.progress
    return {
        "stage": output.identity.stage,
        "fingerprint": output.fingerprint,
        "url": output.url,
        "kind": output.kind,
        "rows": output.rows,
        "bytes": sum(output.sizes.values()),
        "sealed": output.sealed,
        "done": done,
        "total": total,
        "teacher": teacher,
        "age_seconds": round(output.age()),
    }


def show(url: str, *, rows: int = 5, json: Json = False) -> None:
    """Show a latent store: its arrays, its provenance and its first rows."""
    from storage import LatentStore
    from storage.store.description import (
        describe_arrays,
        drop_empty_columns,
        format_arrays,
        format_provenance,
        read_first_rows,
        summarize,
    )

    store = LatentStore.open(url, allow_unsealed=True)
    first = read_first_rows(store, rows)
    if json:
        found = {"url": store.url, "sealed": store.sealed, "arrays": describe_arrays(store)}
        found["provenance"] = store.provenance
        report({**found, "rows": first}, "", json)
        return
    print(f"{store.url}\n{summarize(store)}")
    print_columns(format_arrays(store))
    print_columns([{"provenance": key, "": line} for key, line in format_provenance(store.provenance).items()])
    print_columns(drop_empty_columns(first, ("id", "caption", "uri", "reason")))


def gc(
    root: str,
    *,
    keep: Annotated[
        list[str], Parameter(negative_iterable="", help="URL or fingerprint of an output to keep; repeat for several")
    ],
    yes: Annotated[bool, Parameter(negative="", help="delete; without this option nothing is deleted")] = False,
    json: Json = False,
) -> None:
    """List, and with --yes delete, the outputs under ROOT except those to KEEP and everything they were made from."""
    from storage.outputs import find_outputs, remove_output, split_by_use

    kept, rest = split_by_use(find_outputs(root), keep)
    freed = sum(sum(output.sizes.values()) for output in rest)
    lines = [f"{'keep' if output in kept else 'delete':>6}  {output.url}" for output in kept + rest]
    end = "" if yes or not rest else "; nothing is deleted yet: add --yes"
    lines.append(f"{len(rest)} outputs, {naturalsize(freed, binary=True)}{end}")
    if not json:
        print("\n".join(lines), flush=True)  # before the deletion, which may take long
    if yes:
        for output in rest:
            remove_output(output)
    result = {"keep": [o.url for o in kept], "delete": [o.url for o in rest], "bytes": freed, "deleted": yes}
    if json:
        report(result, "", json)


def verify(
    url: str,
    *,
    repair: Annotated[
        bool, Parameter(negative="", help="delete damaged objects, so that the store's stage makes them again")
    ] = False,
    json: Json = False,
) -> None:
    """Check a latent store against its checksums and name each damaged, missing or foreign object.

    Exits with code 1 if there is any.
    """
    from storage.store import verification

    problems = verification.verify(url)
    lines = [f"{problem.path}: {problem.problem}" for problem in problems]
    found: dict[str, Any] = {
        "ok": not problems,
        "objects": [{"path": problem.path, "problem": problem.problem} for problem in problems],
    }
    if repair:
        deleted = verification.repair(url, problems)
        found["deleted"] = deleted
        if deleted:
            lines.append(f"{len(deleted)} objects deleted; run the store's stage again to make them")
    report(found, "\n".join(lines) or describe_intact(url), json)
    if problems:
        sys.exit(1)


def describe_intact(url: str) -> str:
    """Tell how much of a store was checked: an unsealed one may lack shards."""
    from storage import LatentStore

    store = LatentStore.open(url, allow_unsealed=True)
    if store.sealed:
        return f"{url}: every object matches its checksum"
    done = f"{len(store.committed())} of {store.shard_count} shards are there and match their checksums"
    return f"{url}: {done}; not sealed: run its stage again"


COMMANDS = (ls, show, verify, gc)
