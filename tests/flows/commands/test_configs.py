from pathlib import Path

import pytest

from flows.commands.configs import EMBEDDED, load_config
from storage import UserError


@pytest.mark.parametrize("content", [b"teacher: [", b"teacher: a: b", b"teacher: \xff", b"\x00"])
def test_a_file_that_is_not_yaml_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^expected a YAML file, found .*config.yaml: .*; correct it$") as caught:
        load_config(str(file), None)
    assert "\n" not in str(caught.value)


def test_the_demos_search_is_on_the_demo_itself() -> None:
    """Both files write the stages out: equal ones are not computed again."""
    demo, search = (load_config(str(EMBEDDED["demo"].with_name(name)), None) for name in ("demo.yaml", "search.yaml"))
    for name in ("teacher", "images", "captions", "heldout_captions", "encode", "teach", "train", "distill"):
        assert getattr(demo, name) == getattr(search, name), name
    assert demo.front
    assert search.calibrate_captions
