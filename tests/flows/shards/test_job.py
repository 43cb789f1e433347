import re
from pathlib import Path

import pytest

from flows.errors import find_user_error
from flows.stage import run_stage
from tests.support.chaos.stage import CHAOS, Parameters


@pytest.mark.usefixtures("ray_local")
def test_what_fails_on_a_worker_is_one_line_to_the_user(tmp_path: Path) -> None:
    params = Parameters(root=str(tmp_path), shards=2, seconds=0)
    in_the_way = Path(params.url, "seed/c")
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the shards belong")
    with pytest.raises(Exception, match="FileExistsError") as caught:
        run_stage(CHAOS, params, params.root)
    told = find_user_error(caught.value)
    assert told
    # Either shard may be the first to fail.
    expected = rf"expected an answer from {re.escape(params.url)}/seed/c/[01], found FileExistsError"
    assert re.match(expected, told)
    assert "\n" not in told
