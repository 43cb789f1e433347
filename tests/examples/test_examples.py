"""Each example runs as its docstring says, and does what it promises."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import cyclopts
import numpy as np
import pytest
from PIL import Image

from crf import LatentCRF, LatentCRFConfig
from storage import LatentStore
from tests.support.fronts import make_front
from tests.support.teachers import TEXT_WIDTH

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
CAPTIONS = ["a red apple", "a flag on a pole"]
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example's command in this process -> what it printed."""

    def run_script(name: str, *arguments: object) -> str:
        app = cyclopts.App()
        app.default(runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"])
        app([str(argument) for argument in arguments], result_action="return_value")
        return capsys.readouterr().out

    return run_script


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    file = tmp_path / "captions.txt"
    file.write_text("\n".join(CAPTIONS) + "\n")
    return file


def test_own_teacher(run: Run, tiny_teacher: Path, captions: Path, tmp_path: Path) -> None:
    printed = run("own_teacher", tiny_teacher, captions, tmp_path / "crf", "--steps", 30, "--lead", "3@981..201")
    assert "2 pairs, MSE" in printed
    config = LatentCRF.from_pretrained(tmp_path / "crf").config
    assert (config.crf_input, config.height, config.text_width) == ("x0+state", 4, TEXT_WIDTH)
    assert config.lead == "3@981..201"


def test_crf_in_diffusers(run: Run, tiny_teacher: Path, tmp_path: Path) -> None:
    LatentCRF(LatentCRFConfig(height=4, width=4, text_width=TEXT_WIDTH, hidden=4, filters=4)).save_pretrained(
        tmp_path / "crf"
    )
    output = tmp_path / "apple.png"
    arguments = ("--schedule", "3/4 + crf + 2/50", "--images", 2, "--output", output)
    assert "2 images after 5 evaluations" in run("crf_in_diffusers", tiny_teacher, tmp_path / "crf", "a", *arguments)
    assert Image.open(output).size == Image.open(tmp_path / "apple-1.png").size == (32, 32)


def test_fastest_schedule(run: Run, tiny_teacher: Path, tmp_path: Path) -> None:
    front, output = tmp_path / "schedule.json", tmp_path / "apple.png"
    front.write_text(make_front(recommended=3).format())
    printed = run("fastest_schedule", tiny_teacher, front, "a red apple", "--output", output)
    assert "3 evaluations, 6 passes: 3@981,501,201 (dpm++) (recommended)" in printed
    assert printed.endswith(f"{output}: 3@981,501,201 (dpm++)\n")
    arguments = ("--num-inference-steps", 4, "--output", tmp_path / "other.png")
    assert "other.png: 4@981,721,401,161" in run("fastest_schedule", tiny_teacher, front, "a red apple", *arguments)
    assert np.any(np.asarray(Image.open(output)) != np.asarray(Image.open(tmp_path / "other.png")))


def test_train_on_pairs_and_read_the_store(run: Run, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    target = random.standard_normal((6, 4, 4, 8)).astype(np.float16)
    np.savez(
        tmp_path / "pairs.npz",
        observed=target + random.standard_normal(target.shape).astype(np.float16) / 2,
        target=target,
        text=random.standard_normal((6, TEXT_WIDTH)).astype(np.float16),
        captions=np.array([f"caption {row}" for row in range(6)]),
    )
    store, crf = tmp_path / "store", tmp_path / "crf"
    options = ("--steps", 4, "--batch-size", 2, "--shard-rows", 4)
    for _ in range(2):  # the second time it finds the store sealed
        assert "4 steps on 6 pairs" in run("train_on_pairs", tmp_path / "pairs.npz", store, crf, *options)
    assert LatentStore.open(str(store)).verify() == []
    assert LatentCRF.from_pretrained(crf).config.filters == 64

    printed = run("read_store", store, "step_50", "--batch-size", 3, "--batches", 2)
    assert "6 rows, 6 of them valid; arrays: step_40, step_50, text" in printed
    mean = np.square(target.astype(np.float32)).mean()  # two batches of three are one epoch
    assert f"mean square of 2 batches of 3: {mean:.4f}" in printed
    assert "--start-batch 2" in printed


@pytest.mark.usefixtures("ray_local")
def test_bucket_root(run: Run, tiny_teacher: Path, captions: Path, gcs_root: str) -> None:
    root = f"{gcs_root}/bucket_root"
    printed = run("bucket_root", tiny_teacher, captions, root)
    assert "plan: missing, 0 of 1 shards" in printed
    assert f"computed: {root}/teach/" in printed
    assert "2 rows, 2 valid" in printed
    assert f"(4, 4, 8) latents of {CAPTIONS[0]!r}" in printed


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_an_example_is_short_and_says_its_command(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= 50
    [command] = re.findall(r"^ {4}python examples/(\S+\.py) ", text, re.MULTILINE)
    assert command == script.name
