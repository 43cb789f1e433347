import subprocess
import sys
from pathlib import Path

import pytest

from storage import UserError
from storage.inputs.unique_ids import check_unique_ids

MEASURED = """
import hashlib
from storage.inputs.unique_ids import check_unique_ids
from tests.support.memory import peak_mib
def make_rows():
    for number in range(400_000):
        yield {"id": hashlib.sha512(b"%d" % number).hexdigest() + "x" * 100}
before = peak_mib()
assert sum(1 for _ in check_unique_ids(make_rows(), "a set")) == 400_000
grown = peak_mib() - before
assert grown < 90, grown
"""


def test_ids_are_not_held(tmp_path: Path) -> None:
    """400,000 ids of 228 characters are 107 MiB of Python strings, and more in a set."""
    subprocess.run([sys.executable, "-c", MEASURED], check=True, cwd=Path(__file__).parents[3], timeout=120)


@pytest.mark.parametrize("name", ["", "a\0b", "'; DROP TABLE ids", "ü", "1"])
def test_any_id_once_and_not_twice(name: str) -> None:
    rows = [{"id": name}, {"id": name + "x"}, {"id": name + "\0"}, {"id": "other"}]
    assert list(check_unique_ids(rows, "set")) == rows
    with pytest.raises(UserError) as error:
        list(check_unique_ids([*rows, {"id": name}], "set"))
    assert str(error.value) == f"expected every id once, found {name!r} twice in set, first in its rows 0 and 4; " + (
        "make the ids unique"
    )
