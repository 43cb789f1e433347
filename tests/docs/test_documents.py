"""What the documents say exists: links, commands and their options, make's targets, files and names in them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import crf
import storage

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HELPS: dict[str, str] = {}  # command -> its help, which all documents are compared with
NAMED_FILE = re.compile(r"`([\w./]+/[\w.]+\.\w+)`(?: \((`[^)]+`)\))?")


def identify_document(document: Path) -> str:
    return str(document.relative_to(ROOT))


def shell_lines(document: Path) -> list[str]:
    blocks = [code for kind, code in CODE.findall(document.read_text()) if kind == "sh"]
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def heading_anchors(document: Path) -> set[str]:
    """As the site makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify_document)
def test_links_resolve(document: Path) -> None:
    for target in LINK.findall(CODE.sub("", document.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = document.parent / path if path else document
        assert file.exists(), target
        assert ROOT in file.resolve().parents, target
        if (
            anchor and "reference" not in path
        ):  # the reference's anchors are made from the code: `make docs` checks them
            assert anchor in heading_anchors(file), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify_document)
def test_commands_and_their_options_exist(document: Path, latentcrf: Any) -> None:
    for line in shell_lines(document):
        program, *arguments = line.removeprefix(".venv/bin/").split()
        if program == "make":
            target = arguments[0]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        else:
            assert program == "latentcrf", line
            command = arguments[0]
            if command not in HELPS:
                code, HELPS[command], _ = latentcrf(command, "--help")
                assert code == 0, line
            for option in re.findall(r"--[a-z0-9.-]+", line):
                assert re.search(rf"{re.escape(option)}\b", HELPS[command]), line


@pytest.mark.parametrize("document", DOCUMENTS, ids=identify_document)
def test_files_and_the_names_in_them_exist(document: Path) -> None:
    """ROOT and FINGERPRINT stand for something; changelogs name what is gone."""
    if document.name == "CHANGELOG.md":
        return
    for path, names in NAMED_FILE.findall(CODE.sub("", document.read_text())):
        if path.startswith(("ROOT/", "commits/", "ARRAY/", ".ray/")) or path.endswith("NAME.py"):
            continue
        assert (ROOT / path).is_file(), path
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{name} in {path}"


def test_the_strangers_table_is_read() -> None:
    """The pattern above finds what it is meant to find."""
    found = NAMED_FILE.findall((ROOT / "CONTRIBUTING.md").read_text())
    assert ("storage/inputs/pixels.py", "`FORMATS`") in found
    assert sum(bool(names) for _, names in found) >= 20


@pytest.mark.parametrize("package", [crf, storage], ids=["crf", "storage"])
def test_the_reference_has_every_public_name(package: Any) -> None:
    page = (ROOT / f"docs/reference/{package.__name__}.md").read_text()
    assert set(package.__all__) <= set(re.findall(rf"^::: {package.__name__}\.(\w+)$", page, re.MULTILINE))


def test_the_site_has_every_page() -> None:
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}

    def leaves(tree: Any) -> list[str]:
        if isinstance(tree, str):
            return [tree]
        return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(part)]

    assert sorted(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])) == sorted(pages)


def test_the_citation_and_the_changelog_know_the_version() -> None:
    import tomllib

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
