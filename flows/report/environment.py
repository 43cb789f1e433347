"""The software that made a report."""

import importlib.metadata
import subprocess
from pathlib import Path

PACKAGES = ("latentcrf", "torch", "diffusers", "transformers", "numpy", "scipy", "ray", "zarr")


def read_versions() -> dict[str, str]:
    """Return the version of each package that numbers may depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def read_commit() -> str | None:
    """Return the Git commit of this source, with "-dirty" if files differ from it; None if it is no checkout."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():  # installed: the folder may be within another project's checkout
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
