"""How the repository is laid out: who may import whom, how much a folder and a file hold, what an import costs."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("crf", "storage", "flows")
FORBIDDEN = {
    "crf": {"flows", "storage", "ray", "prefect", "zarr", "fsspec", "gcsfs"},
    "storage": {"crf", "flows", "torch", "diffusers", "ray", "prefect"},
}
MAX_MODULES = 16
MAX_LINES = 250
HEAVY = {"torch", "diffusers", "transformers", "ray", "zarr", "prefect", "pyarrow", "gcsfs", "pandas", "matplotlib"}
Modules = dict[str, Path]

IMPORT_AND_WATCH = """
import importlib, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
    if loaded := set(sys.argv[1].split()) & set(sys.modules):
        sys.exit(f"{name} loads {', '.join(sorted(loaded))}; import them where they are needed")
"""


def find_modules(root: Path, *packages: str) -> Modules:
    """Find every module of the packages: its dotted name -> its file. A package's name stands for its __init__."""
    files = [file for package in packages for file in sorted((root / package).rglob("*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def read_imports(file: Path) -> set[str]:
    """Read all that a file imports, also inside functions and for type checkers: a.b.c for ``from a.b import c``."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return found


def find_wrong_arrows(root: Path, package: str, forbidden: set[str]) -> list[str]:
    return [
        f"{file.relative_to(root)} imports {name}; {package} may not know {name.split('.')[0]}: "
        "pass in what it needs, or move the code to flows"
        for file in find_modules(root, package).values()
        for name in sorted(read_imports(file))
        if name.split(".")[0] in forbidden
    ]


def find_circle(root: Path, *packages: str) -> list[str]:
    """Find modules that import each other in a circle, of which the first and the last are the same."""
    modules = find_modules(root, *packages)
    graph = {}
    for module, file in modules.items():
        names = read_imports(file)
        graph[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & modules.keys()
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return []


def find_crowded(root: Path, *packages: str) -> list[str]:
    """Find the folders with too many modules and the files with too many lines."""
    files = [file for file in find_modules(root, *packages).values() if file.name != "__init__.py"]
    folders = [file.parent for file in files]
    crowded = [
        f"{folder.relative_to(root)}/ has {folders.count(folder)} modules, at most {MAX_MODULES}: "
        "give those that belong together a folder"
        for folder in sorted(set(folders))
        if folders.count(folder) > MAX_MODULES
    ]
    lines = {file: len(file.read_text().splitlines()) for file in files}
    return crowded + [
        f"{file.relative_to(root)} has {count} lines, at most {MAX_LINES}: split it by what changes together"
        for file, count in lines.items()
        if count > MAX_LINES
    ]


def find_shared_from_tests(root: Path) -> list[str]:
    """Find what a module of the tests takes from a test, a conftest or another folder than tests/support."""
    found = []
    for module, file in find_modules(root, "tests").items():
        homes = {"support", module.split(".")[1]} if "." in module else {"support"}
        for name in sorted(read_imports(file)):
            top, *parts = name.split(".")
            if top == "tests" and (parts[0] not in homes or any(p == "conftest" or p[:5] == "test_" for p in parts)):
                found.append(f"{file.relative_to(root)} imports {name}: move what is shared to tests/support/")
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_imports_keep_their_direction(package: str) -> None:
    """crf <- flows -> storage, and no engine where it does not belong."""
    assert find_modules(ROOT, package)
    wrong = find_wrong_arrows(ROOT, package, FORBIDDEN[package])
    assert not wrong, "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    circle = find_circle(ROOT, *PACKAGES)
    assert not circle, f"{' -> '.join(circle)}: move what both ends need to a module of its own"


def test_no_relative_imports() -> None:
    """The other rules read absolute names."""
    files = find_modules(ROOT, *PACKAGES, "tests").values()
    relative = [str(file.relative_to(ROOT)) for file in files if any(n[0] == "." for n in read_imports(file))]
    assert not relative, f"{', '.join(relative)}: import by the full name"


def test_no_folder_and_no_file_is_crowded() -> None:
    crowded = find_crowded(ROOT, *PACKAGES)
    assert not crowded, "\n".join(crowded)


def test_no_test_imports_another() -> None:
    shared = find_shared_from_tests(ROOT)
    assert not shared, "\n".join(shared)


def test_test_folders_mirror_the_packages() -> None:
    folders = {
        file.parent.relative_to(ROOT / "tests") for p in PACKAGES for file in (ROOT / "tests" / p).rglob("test_*")
    }
    strays = sorted(f"tests/{folder}" for folder in folders if not (ROOT / folder).is_dir())
    assert not strays, f"{', '.join(strays)}: name the folder of the package that is tested"


def test_rooms_and_parameters_import_nothing_heavy() -> None:
    """What a command line, a Prefect form or a decoding worker imports first takes a tenth of a second."""
    rooms = [name for name, file in find_modules(ROOT, *PACKAGES).items() if file.name == "__init__.py"]
    command = [sys.executable, "-c", IMPORT_AND_WATCH, " ".join(HEAVY), *rooms, "flows.parameters"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_breaks_a_rule_is_named(tmp_path: Path) -> None:
    files = {
        "crf/__init__.py": "",
        "crf/near.py": "def f():\n    import ray.data\n    from crf.far import g\n",
        "crf/far.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from crf import near\n",
        "crf/long.py": "\n" * (MAX_LINES + 1),
        "crf/heavy/__init__.py": "import matplotlib",
        "tests/crf/test_near.py": "from tests.crf.test_far import rows\nfrom tests.crf import conftest\n"
        "from tests.chaos.runs import drive\nfrom tests.support.stores import make_store\n",
        **{f"crf/many/module_{number}.py": "" for number in range(MAX_MODULES + 1)},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    [arrow] = find_wrong_arrows(tmp_path, "crf", FORBIDDEN["crf"])
    assert arrow.startswith("crf/near.py imports ray.data; crf may not know ray")
    assert sorted(find_circle(tmp_path, "crf")[1:]) == ["crf.far", "crf.near"]
    assert [line.split(",")[0] for line in find_crowded(tmp_path, "crf")] == [
        "crf/many/ has 17 modules",
        "crf/long.py has 251 lines",
    ]
    assert [line.split(":")[0] for line in find_shared_from_tests(tmp_path)] == [
        "tests/crf/test_near.py imports tests.chaos.runs.drive",
        "tests/crf/test_near.py imports tests.crf.conftest",
        "tests/crf/test_near.py imports tests.crf.test_far.rows",
    ]
    command = [sys.executable, "-c", IMPORT_AND_WATCH, " ".join(HEAVY), "crf", "crf.heavy"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "crf.heavy loads matplotlib; import them where they are needed",
    )
