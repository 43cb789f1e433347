"""docs/browse.ipynb runs from its first cell to its last, on a real kernel, and keeps no path of a machine."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from crf import LatentCRF, LatentCRFConfig
from crf.stages.teach import TeachTrajectories
from storage import ArraySpec, Identity, LatentStore
from storage.store.index import index_tables
from tests.support.teachers import TEXT_WIDTH

REPOSITORY = Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "docs/browse.ipynb"
ROWS = 4
LATENTS = ("step_40", "step_50", "lead_state", "lead_x0")


def teach(root: Path, teacher: Path) -> None:
    """A teacher store, without an engine."""
    parameters = {"size": 32, "shard_rows": 2, "guidance_scale": 4.0}
    identity = Identity("teach", 2, {}, parameters)
    identity.write(str(root))
    captions = np.array([f"a drawing of {'a flag' if row % 2 else 'an apple'}" for row in range(ROWS)])
    lines = [{"id": str(row), "caption": caption, "uri": "", "sha256": ""} for row, caption in enumerate(captions)]
    latent = ArraySpec.latent(4, 4, 8)
    store = LatentStore.create(
        identity.url(str(root)),
        {**dict.fromkeys(LATENTS, latent), "text": ArraySpec.vector(TEXT_WIDTH)},
        index_tables(lines, 2),
        shard_rows=2,
        provenance={"stage": "teach", "parameters": parameters},
    )
    compute = TeachTrajectories(str(teacher), "cpu", 1, guidance_scale=4.0, size=32, x0=False, inference="31/40")
    for shard in range(2):
        part = store.extent(shard)
        seeds = np.arange(ROWS, dtype=np.uint64)[part]
        made = compute({"caption": captions[part], "seed": seeds, "valid": np.ones(2, bool)})
        arrays = {name: made[name] for name in store.names}
        store.write_shard(shard, arrays, valid=np.ones(2, bool), seed=seeds, rejected={}, timing={})
    store.seal()


def distil(root: Path) -> None:
    """A CRF that has learned nothing."""
    identity = Identity("distill", 2, {}, {"steps": 1})
    identity.write(str(root))
    config = LatentCRFConfig(height=4, width=4, text_width=TEXT_WIDTH, hidden=8, filters=8, crf_input="x0+state")
    LatentCRF(config).save_pretrained(identity.url(str(root)))
    (Path(identity.url(str(root))) / "manifest.json").write_text("{}")


@pytest.mark.timeout(120)
def test_the_notebook_runs(tmp_path: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    teach(root, tiny_teacher)
    distil(root)
    environment = {
        "LATENTCRF_ROOT": root,
        "LATENTCRF_TEACHER": tiny_teacher,
        "PYTHONPATH": REPOSITORY,
        "IPYTHONDIR": tmp_path / "ipython",
        "JUPYTER_RUNTIME_DIR": tmp_path / "jupyter",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": NOTEBOOK.parent}}).execute()
    shown = json.dumps(notebook)
    assert "4 rows in shards of 2, sealed" in shown
    assert shown.count("a drawing of a flag") >= 2
    assert "an apple" not in shown[shown.index("CRF</th>") :]  # the contact sheet shows the flags alone
    assert shown.count("data:image/jpeg") == 2 * 3  # flags, columns
    assert "image/png" in shown  # the plot


def test_the_notebook_in_the_repository_shows_a_demo_run() -> None:
    text = NOTEBOOK.read_text()
    assert len(text) < 1_500_000
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output.output_type != "error" for cell in cells for output in cell.outputs)
    assert text.count("data:image/jpeg") == 6 * 3
    for machine in ("/home/", "/tmp/", "/root/", "site-packages"):
        assert machine not in text
