"""What deploy/ holds, and CI's workflow, pass the linters and schemas of their kinds."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = [DEPLOY / "join-ray.sh", DEPLOY / "image_check.sh", DEPLOY / "gke/cluster.sh", ROOT / ".ci/run"]


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def passes(program: str, *arguments: str | Path) -> None:
    done = run(program, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_passes_hadolint() -> None:
    passes("hadolint", DEPLOY / "Dockerfile")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    passes("shellcheck", "--enable", "quote-safe-variables,check-unassigned-uppercase", script)


@pytest.mark.parametrize("file", ["compose.yaml", "gpu.yaml"])
def test_compose_files_match_their_schema(file: str) -> None:
    passes("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose" / file)


def test_a_misspelt_field_of_a_compose_file_is_found(tmp_path: Path) -> None:
    text = (DEPLOY / "compose/compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("healthcheck:", "healthchek:"))
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", tmp_path / "compose.yaml")
    assert "healthchek" in done.stdout


def test_compose_lists_every_secret_in_its_example_and_publishes_nothing_beyond_this_machine() -> None:
    text = (DEPLOY / "compose/compose.yaml").read_text()
    example = (DEPLOY / "compose/.env.example").read_text()
    for variable in ("RAY_AUTH_TOKEN", "POSTGRES_PASSWORD"):
        assert f"${{{variable}:?" in text
        assert f"\n{variable}=" in example
    services = yaml.safe_load(text)["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:4200:4200"]
    ray = [service for name, service in services.items() if "ray" in name or name == "worker"]
    assert all("RAY_AUTH_TOKEN" in service["environment"] and service["shm_size"] for service in ray)


def test_the_workflow_matches_its_schema_and_has_no_known_weakness() -> None:
    workflows = [*(ROOT / ".github/workflows").glob("*.yml")]
    passes("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    passes("zizmor", "--offline", "--no-progress", "--min-severity", "medium", *workflows)
