"""What a real run prints on its terminal."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COMMAND = Path(sys.executable).with_name("latentcrf")
BAR = re.compile(r" *(hashing|encode|teach|train|distill|evaluate|reference): +\d+%\|.*\| \d+/\d+ \[.*\]\s*(\x1b\[A)?")


@pytest.mark.timeout(600)
def test_a_run_prints_bars_a_table_and_one_line_per_stage(tmp_path: Path, tiny_teacher: Path, drawings: Path) -> None:
    (tmp_path / "captions.txt").write_text("".join(f"thing {number}\n" for number in range(4)))
    (tmp_path / "heldout.txt").write_text("".join(f"unseen {number}\n" for number in range(4)))
    training = {"steps": 2, "batch_size": 2, "lr_warmup_steps": 1, "workers": 0}
    config = {
        "teacher": str(tiny_teacher),
        "images": str(drawings),
        "captions": "captions.txt",
        "heldout_images": str(drawings),
        "heldout_captions": "heldout.txt",
        "root": str(tmp_path / "runs"),
        "resources": {"actors": 1},
        "encode": {"limit": 4},
        "train": {**training, "crf": {"hidden": 4, "filters": 4}},
        "distill": training,
        "evaluate": {"limit": 2, "noises": 2, "vendi_captions": 0},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    # No server is named, so the run starts its own Prefect and its own Ray.
    environment = {name: value for name, value in os.environ.items() if name not in ("PREFECT_API_URL", "RAY_ADDRESS")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "COLUMNS": "120"}
    done = subprocess.run(
        [COMMAND, "run", str(tmp_path / "tiny.yaml")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    shown = [line for line in re.split(r"[\r\n]", done.stderr) if line.strip()]
    assert [line for line in shown if not BAR.fullmatch(line)] == []
    title, *table, note, summary = done.stdout.splitlines()[:-6]
    assert "2 held-out captions, 4 samples per row" in title
    assert all(re.fullmatch(r"[┏┡│└].*[┓┩│┘]|┃.*┃", line) for line in table)
    assert note.startswith("± and [ ]: 95 % intervals over captions")
    assert summary.endswith(".")
    ends = [line.split()[:2] for line in done.stdout.splitlines()[-6:]]
    stages = ["encode", "teach", "train", "distill", "evaluate"]
    assert ends[:5] == [[f"{stage}:", "computed"] for stage in stages]
    assert ends[5][0] == "report:"
