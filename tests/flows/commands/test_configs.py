from pathlib import Path

import pytest

from flows.commands.configs import load_config
from storage import UserError


@pytest.mark.parametrize("content", [b"teacher: [", b"teacher: a: b", b"teacher: \xff", b"\x00"])
def test_a_file_that_is_not_yaml_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^expected a YAML file, found .*config.yaml: .*; correct it$") as caught:
        load_config(str(file), None)
    assert "\n" not in str(caught.value)
