"""hf:// by the hub's own client, from a server on this machine that speaks its protocol."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from storage.model_files.disk import VARIABLE
from tests.support.hub import COMMIT, serve_hub
from tests.support.model_files import FILES

READ = {"model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors"}
# The client reads the hub's address when it is imported, so in a process of its own.
FETCH = """
import sys
from storage import UserError
from storage.model_files.folders import local_folder, pin
from storage.model_files.hashes import hash_model
url, root = sys.argv[1:]
try:
    print(hash_model(url, root))
    print(local_folder(url, weights=False), local_folder(url), local_folder(pin(url)))
    print(pin(url))
except UserError as error:
    print(error)
"""


def fetch(url: str, address: str, folder: Path) -> list[str]:
    environment = {**os.environ, "HF_ENDPOINT": address, VARIABLE: str(folder / "cache"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-c", FETCH, url, str(folder / "runs")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_branch_is_fetched_once_at_its_commit(tmp_path: Path) -> None:
    with serve_hub(FILES) as hub:
        hashes, folders, pinned = fetch("hf://org/teacher@main", hub.address, tmp_path)
        assert hashes == str({name: hashlib.sha256(FILES[name]).hexdigest() for name in sorted(READ)})
        [folder] = set(folders.split())
        assert {name: (Path(folder) / name).read_bytes() for name in READ} == {name: FILES[name] for name in READ}
        assert not (Path(folder) / "unet/code.py").exists()
        assert not (Path(folder) / "unet/diffusion_pytorch_model.bin").exists()
        assert pinned == f"hf://org/teacher@{COMMIT}"
        assert fetch("hf://org/teacher", hub.address, tmp_path) == [hashes, folders, pinned]
        assert hub.downloads == dict.fromkeys(READ, 1)


def test_what_the_hub_does_not_have_is_named(tmp_path: Path) -> None:
    with serve_hub(FILES) as hub:
        [told] = fetch("hf://org/teacher@none", hub.address, tmp_path)
        assert told.startswith("expected a revision of org/teacher, found none named none")
        [told] = fetch("hf://org/other", hub.address, tmp_path)
        assert told.startswith("expected the model org/other on the hub, found none that you may read")
