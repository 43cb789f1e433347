"""The built wheel works without the checkout: the demo's plan, and each deployment's entry point."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
SOURCES = ("crf", "deploy", "flows", "storage", "LICENSE", "README.md", "pyproject.toml")
LOAD_DEPLOYMENTS = """
import json, sys
import yaml
from prefect.flows import load_flow_from_entrypoint
from flows.commands.ui import DEPLOYMENTS

entrypoints = [each["entrypoint"] for each in yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]]
names = [load_flow_from_entrypoint(entrypoint, use_placeholder_flow=False).name for entrypoint in entrypoints]
print(json.dumps({"names": names, "flows": sys.modules["flows"].__file__}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment's Python with the wheel, and with everything else but the checkout that this Python has."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        path = CHECKOUT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source], check=True)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    executable = folder / "env/bin/python"
    subprocess.run([*pip, "--python", executable, "install", "--no-deps", "--no-index", wheel], check=True)
    [packages] = (folder / "env/lib").glob("python*/site-packages")
    # A folder named in a .pth file is searched, but its own .pth files, which name the checkout, are not read.
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    shutil.rmtree(source)
    return executable


def run(command: list[str | Path], folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_demo_is_planned_from_any_folder(python: Path, tmp_path: Path) -> None:
    stages = json.loads(run([python.with_name("latentcrf"), "plan", "demo", "--json"], tmp_path))["stages"]
    assert [stage["stage"] for stage in stages] == ["encode", "teach", "train", "distill", "evaluate"]
    assert {stage["state"] for stage in stages} == {"missing"}


def test_each_deployment_is_loaded_from_the_wheel(python: Path, tmp_path: Path) -> None:
    loaded = json.loads(run([python, "-c", LOAD_DEPLOYMENTS], tmp_path))
    stages = ["encode", "teach", "train", "distill", "evaluate", "search", "measure", "pipeline", "plan"]
    assert loaded["names"] == stages * 2  # local, gke
    assert Path(loaded["flows"]).is_relative_to(python.parents[1])
