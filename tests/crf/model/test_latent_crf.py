"""LatentCRF as a diffusers model: observations, iterations, sizes, round trips."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.utils import PushToHubMixin

from crf.model.config import ABLATIONS, LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from tests.support.crfs import SMALL, random_context, random_crf, random_inputs

FORMS: list[dict[str, Any]] = [
    {},
    {"similarity": "stationary"},
    {"compatibility": "linear"},
    {"compatibility": "linear", "normalizer": "exact"},
    {"normalizer": "none"},
    {"norm_statistics": "shared"},
    {"similarity_width": 0.5, "similarity_growth": 3.0},
    {"crf_input": "x0"},
    {"crf_input": "x0", "potentials": "observed"},
    {"crf_input": "x0+state", "potentials": "observed"},
    {"expert_weights": "signed"},
    {"crf_input": "x0+state", "potentials": "observed", "similarity": "stationary"},
    {"crf_input": "x0+state", "with_timesteps": True},
    {"crf_input": "x0+state+previous+guidance", "potentials": "observed", "with_timesteps": True},
    {"crf_input": "x0+state+guidance", "potentials": "observed"},
    {"crf_input": "x0+state+previous", "expert_weights": "signed"},
    *ABLATIONS.values(),
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_batch_equals_loop(form: dict[str, Any]) -> None:
    crf = random_crf(replace(SMALL, **form)).eval()
    (z, text, x0), more = random_inputs(4), random_context(4)
    alone = [
        crf(*(each[i : i + 1] for each in (z, text, x0)), **{name: each[i : i + 1] for name, each in more.items()})
        for i in range(4)
    ]
    torch.testing.assert_close(crf(z, text, x0, **more), torch.cat(alone))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_saved_and_loaded_bit_equal(form: dict[str, Any], tmp_path: Path) -> None:
    crf = random_crf(replace(SMALL, **form)).float().train()
    z, text, x0 = (tensor.float() for tensor in random_inputs(8))
    more = {name: each.float() for name, each in random_context(8).items()}
    crf(z, text, x0, **more)  # moves the running statistics, which must travel too
    crf.eval().save_pretrained(tmp_path)
    loaded = LatentCRF.from_pretrained(tmp_path).eval()
    assert loaded.settings == crf.settings
    assert torch.equal(crf(z, text, x0, **more), loaded(z, text, x0, **more))
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()


def test_a_field_that_the_config_lacks_has_its_default(tmp_path: Path) -> None:
    """A CRF that was saved before the field was there."""
    crf = random_crf().float().eval()
    crf.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["expert_weights"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert LatentCRF.from_pretrained(tmp_path).settings == crf.settings


@pytest.mark.parametrize(
    ("how", "file", "back"),
    [
        ({"variant": "fp16"}, "diffusion_pytorch_model.fp16.safetensors", {"variant": "fp16"}),
        ({"safe_serialization": False}, "diffusion_pytorch_model.bin", {"use_safetensors": False}),
        ({"push_to_hub": False}, "diffusion_pytorch_model.safetensors", {"use_safetensors": True}),
    ],
    ids=str,
)
def test_diffusers_ways_to_save(how: dict[str, Any], file: str, back: dict[str, Any], tmp_path: Path) -> None:
    crf = random_crf().half().eval()
    crf.save_pretrained(tmp_path, **how)
    assert (tmp_path / file).is_file()
    loaded = LatentCRF.from_pretrained(tmp_path, dtype=torch.float16, **back).eval()
    assert loaded.dtype == torch.float16
    z, text, _ = (tensor.half() for tensor in random_inputs())
    assert torch.equal(crf(z, text), loaded(z, text))


def test_it_is_pushed_to_the_hub_as_any_model_of_diffusers() -> None:
    assert LatentCRF.push_to_hub is PushToHubMixin.push_to_hub


def test_text_matters_unless_it_is_left_out() -> None:
    z, text, _ = random_inputs()
    with_text, without = random_crf().eval(), random_crf(replace(SMALL, with_text=False)).eval()
    assert not torch.allclose(with_text(z, text), with_text(z, text.flip(0)))
    assert torch.equal(without(z, text), without(z, text.flip(0)))


def test_iterations_are_free_at_inference() -> None:
    crf = random_crf().eval()
    z, text, _ = random_inputs()
    assert torch.equal(crf(z, text), crf(z, text, iterations=3))
    assert crf(z, text, iterations=10).shape == z.shape
    assert not torch.equal(crf(z, text), crf(z, text, iterations=1))


@pytest.mark.parametrize("potentials", ["field", "observed"])
def test_before_training_a_correction_of_x0_is_none(potentials: Any) -> None:
    z, text, x0 = random_inputs()
    crf = LatentCRF(replace(SMALL, crf_input="x0", potentials=potentials)).double().eval()
    assert torch.equal(crf(z, text, x0), x0)
    both = LatentCRF(replace(SMALL, crf_input="x0+state", potentials=potentials)).double().eval()
    torch.testing.assert_close(both(z, text, x0), x0, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("crf_input", ["x0", "x0+state", "x0+state+previous", "x0+state+previous+guidance"])
def test_before_training_a_crf_that_is_told_its_place_is_x0_to_the_bit(crf_input: Any) -> None:
    crf = LatentCRF(replace(SMALL, crf_input=crf_input, potentials="observed", with_timesteps=True)).double().eval()
    z, text, x0 = random_inputs()
    assert torch.equal(crf(z, text, x0, **random_context()), x0)


@pytest.mark.parametrize("name", ["previous_BCHW", "guidance_BCHW", "timesteps_B2"])
def test_each_observation_matters_if_the_config_asks_for_it(name: str) -> None:
    whole = {"crf_input": "x0+state+previous+guidance", "with_timesteps": True}
    crf = random_crf(replace(SMALL, **whole)).eval()  # type: ignore[arg-type]
    (z, text, x0), more = random_inputs(), random_context()
    changed = {**more, name: more[name] + 100}
    assert not torch.allclose(crf(z, text, x0, **more), crf(z, text, x0, **changed))
    del more[name]
    with pytest.raises(ValueError, match=f"pass {name}"):
        crf(z, text, x0, **more)
    plain = random_crf(replace(SMALL, crf_input="x0+state")).eval()
    assert torch.equal(plain(z, text, x0, **more), plain(z, text, x0, **changed))


def test_shared_statistics_are_of_all_iterations() -> None:
    """The running mean of one batch-norm after three calls, against that of the inputs it was given."""
    crf = LatentCRF(replace(SMALL, norm_statistics="shared")).double().train()
    [norm] = crf.norm.norms
    seen: list[torch.Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((0, 2, 3))))
    z, text, _ = random_inputs()
    crf(z, text)
    mean = torch.zeros(3, dtype=torch.float64)
    for each in seen:
        mean = 0.9 * mean + 0.1 * each
    assert len(seen) == 3
    torch.testing.assert_close(norm.running_mean, mean)
    assert len(LatentCRF(SMALL).norm.norms) == 3


def test_what_a_crf_cannot_serve_is_said() -> None:
    z, text, _ = random_inputs()
    with pytest.raises(ValueError, match=r"expected latents of \(3, 4, 5\).* found \(3, 5, 4\)"):
        random_crf()(z.transpose(2, 3), text)
    with pytest.raises(ValueError, match="expected the teacher's x0 prediction for crf_input='x0', found none"):
        random_crf(replace(SMALL, crf_input="x0"))(z, text)
    with pytest.raises(ValueError, match="observe x0, too"):
        replace(SMALL, with_timesteps=True)
    with pytest.raises(ValueError, match="use normalizer='batch'"):
        replace(SMALL, normalizer="exact")


def test_the_papers_size() -> None:
    config = LatentCRFConfig.paper()
    assert (config.height, config.width, config.channels) == (64, 64, 8)
    assert 125e6 < parameters(config) < 135e6


def test_without_tables_large_latents_cost_little() -> None:
    large = LatentCRFConfig(height=128, width=128, similarity="stationary")
    assert parameters(large) < 12e6


def parameters(config: LatentCRFConfig) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in LatentCRF(config).parameters())


@pytest.mark.parametrize("seed", range(3))
def test_training_mode_keeps_the_output_normal(seed: int) -> None:
    torch.manual_seed(seed)
    crf = LatentCRF(SMALL).train()
    output = crf(torch.randn(64, 3, 4, 5) * 3 + 1, torch.randn(64, 6))
    torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(output.std((0, 2, 3)), torch.ones(3), atol=1e-2, rtol=0)


def test_weights_that_are_a_pickle_are_not_loaded(tmp_path: Path) -> None:
    crf = random_crf()
    crf.save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / "diffusion_pytorch_model.bin").exists()
    with pytest.raises(OSError, match="safetensors"):
        LatentCRF.from_pretrained(tmp_path)
