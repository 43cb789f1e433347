from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from crf.model import FieldOfExperts, LatentCRF, LatentCRFConfig, Pairwise, gaussian_similarities

SMALL = LatentCRFConfig(height=4, width=5, channels=3, text_width=6, heads=2, hidden=7, filters=4, iterations=3)


def random_crf(config: LatentCRFConfig = SMALL) -> LatentCRF:
    torch.manual_seed(0)
    return LatentCRF(config).double()


def test_the_experts_message_is_the_negative_gradient_of_their_energy() -> None:
    torch.manual_seed(0)
    experts = FieldOfExperts(SMALL).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    response = F.conv2d(x, experts.filters, padding=2)
    energy = -0.5 * F.relu(response).square().sum()  # -log phi, up to a constant
    [gradient] = torch.autograd.grad(energy, x)
    torch.testing.assert_close(experts(x), -gradient, rtol=0, atol=1e-13)


def test_the_adjoint_is_convolution_with_the_mirrored_filters() -> None:
    torch.manual_seed(0)
    experts = FieldOfExperts(SMALL).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    response = F.relu(F.conv2d(x, experts.filters, padding=2))
    mirrored = experts.filters.flip(2, 3).transpose(0, 1)
    torch.testing.assert_close(experts(x), F.conv2d(response, mirrored, padding=2), rtol=0, atol=1e-13)


def test_messages_are_weighted_sums_over_the_other_locations() -> None:
    pairwise = Pairwise(replace(SMALL, text=False)).double()
    with torch.no_grad():
        pairwise.similarity_hNN.normal_()
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    flat = x.flatten(2)[0]
    slow = torch.zeros(2, 3, 20, dtype=torch.float64)
    for head in range(2):
        for i in range(20):
            for j in range(20):
                if i != j:
                    slow[head, :, i] += pairwise.similarity_hNN[head, i, j].detach() * flat[:, j]
    expected = pairwise.compatibility(F.silu(pairwise.project(slow.reshape(1, 6, 4, 5))))
    torch.testing.assert_close(pairwise(x, None), expected)


def test_similarities_start_as_gaussians_without_a_diagonal() -> None:
    k = gaussian_similarities(SMALL)
    assert k.shape == (2, 20, 20)
    assert (k.diagonal(dim1=1, dim2=2) == 0).all()
    torch.testing.assert_close(k.sum(-1), torch.ones(2, 20))
    assert k[0, 0, 1] / k[0, 0, 2] > k[1, 0, 1] / k[1, 0, 2]


def test_batch_equals_loop_and_text_matters_once_trained() -> None:
    crf = random_crf().eval()
    assert crf.pairwise.modulate is not None
    torch.nn.init.normal_(crf.pairwise.modulate[-1].weight)
    z, text = torch.randn(4, 3, 4, 5, dtype=torch.float64), torch.randn(4, 6, dtype=torch.float64)
    whole = crf(z, text)
    torch.testing.assert_close(whole, torch.cat([crf(z[i : i + 1], text[i : i + 1]) for i in range(4)]))
    assert not torch.allclose(whole, crf(z, text.flip(0)))


def test_iterations_are_free_at_inference() -> None:
    crf = random_crf().eval()
    z, text = torch.randn(1, 3, 4, 5, dtype=torch.float64), torch.randn(1, 6, dtype=torch.float64)
    assert torch.equal(crf(z, text), crf(z, text, iterations=3))
    assert crf(z, text, iterations=10).shape == z.shape
    assert not torch.equal(crf(z, text), crf(z, text, iterations=1))


def test_saved_and_loaded_bit_equal(tmp_path: Path) -> None:
    crf = random_crf().float().train()
    z, text = torch.randn(8, 3, 4, 5), torch.randn(8, 6)
    crf(z, text)  # moves the running statistics, which must travel too
    crf.eval().save_pretrained(tmp_path)
    loaded = LatentCRF.from_pretrained(tmp_path).eval()
    assert loaded.settings == SMALL
    assert torch.equal(crf(z, text), loaded(z, text))
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()


def test_the_papers_size() -> None:
    config = LatentCRFConfig.paper()
    assert (config.height, config.width, config.channels) == (64, 64, 8)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in LatentCRF(config).parameters())
    assert 125e6 < parameters < 135e6


@pytest.mark.parametrize("seed", range(3))
def test_training_mode_keeps_the_output_normal(seed: int) -> None:
    torch.manual_seed(seed)
    crf = LatentCRF(SMALL).train()
    output = crf(torch.randn(64, 3, 4, 5) * 3 + 1, torch.randn(64, 6))
    torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(output.std((0, 2, 3)), torch.ones(3), atol=1e-2, rtol=0)
