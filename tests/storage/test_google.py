"""gs:// to the end of the program."""

import os
import subprocess
import sys

from tests.support import servers

MAKE_STORE = """
from storage import LatentStore
from tests.support.stores import make_store
print(len(LatentStore.open(make_store("gs://bucket/ended")).shard(0)["latents"]))
"""


def test_a_program_that_used_a_store_ends_quietly(gs_address: str) -> None:
    environment = {**os.environ, **servers.gcs_environment(gs_address)}
    ended = subprocess.run([sys.executable, "-c", MAKE_STORE], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "3\n", "")
