"""``latentcrf`` on what is there already: is it whole? These commands start no stage and no server."""

import sys
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import Json, report


def verify(
    url: str,
    *,
    repair: Annotated[
        bool, Parameter(negative="", help="delete what is damaged, so that its stage makes it again")
    ] = False,
    json: Json = False,
) -> None:
    """Read a latent store against its checksums; name each damaged, missing or foreign object. Exit code 1 if any."""
    from storage import verification

    problems = verification.verify(url)
    lines = [f"{problem.path}: {problem.problem}" for problem in problems]
    record = {
        "ok": not problems,
        "objects": [{"path": problem.path, "problem": problem.problem} for problem in problems],
    }
    if repair:
        deleted = verification.repair(url, problems)
        record["deleted"] = deleted
        if deleted:
            lines.append(f"{len(deleted)} objects deleted; run the store's stage again to make them")
    report(record, "\n".join(lines) or f"{url}: every object is what was written", json)
    if problems:
        sys.exit(1)


COMMANDS = (verify,)
