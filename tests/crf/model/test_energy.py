"""The facts of the method, in float64 against autograd and slow loops."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation
from crf.model.terms import FieldOfExperts
from tests.support.crfs import SMALL, random_context, random_crf, random_inputs

EXACT = replace(SMALL, compatibility="linear", normalizer="exact")


def exact_crf(**changes: Any) -> LatentCRF:
    """Symmetric, non-negative similarities, as an energy has them."""
    crf = random_crf(replace(EXACT, **changes)).eval()
    with torch.no_grad():
        crf.pairwise.similarity.k_hNN.uniform_(0, 0.2)
        crf.pairwise.similarity.k_hNN.add_(crf.pairwise.similarity.k_hNN.transpose(1, 2).clone())
        crf.pairwise.similarity.k_hNN.diagonal(dim1=1, dim2=2).zero_()
    return crf


def gradient(crf: LatentCRF, x: torch.Tensor, z: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    x = x.detach().requires_grad_()
    [by_x] = torch.autograd.grad(crf.energy(x, Observation(z), text).sum(), x)
    return by_x


def test_the_energy_is_the_papers_sum() -> None:
    """Eqs. 1 to 6 as loops over locations, heads and filters, with a weight for each expert."""
    crf = exact_crf(expert_weights="signed")
    z, text, x = random_inputs(1)
    xs, k = x[0].flatten(1).T, crf.pairwise.similarity.table()
    total = 0.5 * (x - z).square().sum()
    a_hDC = crf.pairwise._compatibility_factor(text, 1)[0]
    for head in range(2):
        for i in range(20):
            for j in range(i):
                total = total + 0.5 * k[head, i, j] * (a_hDC[head] @ (xs[i] - xs[j])).square().sum()
    padded = F.pad(x[0], (2, 2, 2, 2))
    for w, weight in zip(crf.experts.filters, (1, -1, 1, -1), strict=True):
        for row in range(4):
            for column in range(5):
                y = (w * padded[:, row : row + 5, column : column + 5]).sum()
                total = total - weight * torch.log(torch.exp(0.5 * F.relu(y) ** 2))
    torch.testing.assert_close(crf.energy(x, Observation(z), text)[0], total, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("expert_weights", ["one", "signed"])
@pytest.mark.parametrize("potentials", ["field", "observed"])
@pytest.mark.parametrize("crf_input", ["state", "x0", "x0+state"])
def test_the_experts_message_is_the_negative_gradient_of_their_energy(
    crf_input: Any, potentials: Any, expert_weights: Any
) -> None:
    crf = random_crf(replace(SMALL, crf_input=crf_input, potentials=potentials, expert_weights=expert_weights))
    z, _, x0 = random_inputs()
    observed = Observation(z, x0).select(crf.settings)
    x = torch.randn_like(z, requires_grad=True)
    assert crf.experts is not None
    [by_x] = torch.autograd.grad(crf.experts.energy(x, observed).sum(), x)
    torch.testing.assert_close(crf.experts(x, observed), -by_x, rtol=0, atol=1e-13)


def test_what_timesteps_change_in_the_experts_follows_from_their_energy() -> None:
    crf = random_crf(replace(SMALL, crf_input="x0+state", potentials="observed", with_timesteps=True))
    z, _, x0 = random_inputs()
    assert crf.experts is not None
    assert crf.modulation is not None
    observed, told = Observation(z, x0).select(crf.settings), crf.modulation(random_context()["timesteps_B2"])
    x = torch.randn_like(z, requires_grad=True)
    [by_x] = torch.autograd.grad(crf.experts.energy(x, observed, told).sum(), x)
    torch.testing.assert_close(crf.experts(x, observed, told), -by_x, rtol=0, atol=1e-13)
    assert not torch.allclose(crf.experts(x, observed, told), crf.experts(x, observed))


def test_the_adjoint_is_convolution_with_the_mirrored_filters() -> None:
    torch.manual_seed(0)
    experts = FieldOfExperts(SMALL).double()
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    response = F.relu(F.conv2d(x, experts.filters, padding=2))
    mirrored = experts.filters.flip(2, 3).transpose(0, 1)
    torch.testing.assert_close(experts(x, (x,)), F.conv2d(response, mirrored, padding=2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("crf_input", ["x0+state", "x0+state+previous+guidance"])
def test_the_unary_stands_where_its_energy_is_least(crf_input: Any) -> None:
    crf = random_crf(replace(SMALL, crf_input=crf_input))
    observed = tuple(random_inputs()[0] for _ in range(crf.settings.observations))
    best = crf.unary(observed).detach().requires_grad_()
    [by_x] = torch.autograd.grad(crf.unary.energy(best, observed).sum(), best)
    torch.testing.assert_close(by_x, torch.zeros_like(by_x), rtol=0, atol=1e-13)


def sequential(crf: LatentCRF, x: torch.Tensor, z: torch.Tensor, text: torch.Tensor, i: int) -> torch.Tensor:
    """The update of location i alone."""
    x = x.clone()
    x.flatten(2)[:, :, i] = crf.update(x, (z,), text, crf.pairwise.similarity.prepare()).flatten(2)[:, :, i]
    return x


def test_without_experts_a_sequential_update_is_exact_coordinate_descent() -> None:
    crf = exact_crf(with_higher_order=False)
    z, text, x = random_inputs()
    with torch.no_grad():
        for i in range(20):
            x = sequential(crf, x, z, text, i)
            with torch.enable_grad():
                own = gradient(crf, x, z, text).flatten(2)[:, :, i]
            torch.testing.assert_close(own, torch.zeros_like(own), rtol=0, atol=1e-12)


def test_with_experts_a_sequential_update_never_raises_the_energy() -> None:
    crf = exact_crf()
    z, text, x = random_inputs()
    with torch.no_grad():
        energy = crf.energy(x, Observation(z), text)
        for step in range(60):
            x = sequential(crf, x, z, text, step % 20)
            lower = crf.energy(x, Observation(z), text)
            assert (lower <= energy + 1e-12).all()
            energy = lower


@pytest.mark.parametrize("higher_order", [False, True])
def test_the_parallel_updates_end_where_the_gradient_is_zero(higher_order: bool) -> None:
    crf = exact_crf(with_higher_order=higher_order)
    z, text, x = random_inputs()
    with torch.no_grad():
        for _ in range(3000):
            x = crf.update(x, (z,), text, crf.pairwise.similarity.prepare())
    by_x = gradient(crf, x, z, text)
    torch.testing.assert_close(by_x, torch.zeros_like(by_x), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("norm", "grows"), [(0.5, False), (1.5, True)])
def test_without_a_normalizer_it_diverges_once_the_banks_norm_exceeds_one(norm: float, grows: bool) -> None:
    """The gain of x -> mirror(w) * (w * x) is the bank's squared norm; 0.5 stays below one even so."""
    crf = random_crf(replace(SMALL, with_pairwise=False, normalizer="none"))
    probe = torch.randn(1, 3, 4, 5, dtype=torch.float64).abs()
    assert crf.experts is not None
    with torch.no_grad():
        crf.experts.filters.abs_()  # every response positive: relu passes all
        for _ in range(200):
            probe = crf.experts(probe, ())
            gain = probe.norm()
            probe = probe / gain
        crf.experts.filters.mul_((norm / gain) ** 0.5)
        sizes = [crf(probe, iterations=n).norm().item() for n in (50, 100, 200)]
    assert (sizes[2] > 10 * sizes[1] > 100 * sizes[0]) == grows
    assert (sizes[2] < 3) == (not grows)


def test_trained_iterates_converge() -> None:
    """The mean change falls with every one of ten iterations."""
    torch.manual_seed(0)
    crf = LatentCRF(replace(SMALL, filters=16, hidden=16, iterations=10)).train()
    optimizer = torch.optim.AdamW(crf.parameters(), 3e-3)
    for _ in range(150):
        clean = F.interpolate(torch.randn(32, 3, 2, 2), size=(4, 5), mode="bilinear")
        loss = F.mse_loss(crf(clean + 0.4 * torch.randn_like(clean)), clean)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    crf.eval()
    clean = F.interpolate(torch.randn(64, 3, 2, 2), size=(4, 5), mode="bilinear")
    with torch.no_grad():
        z = clean + 0.4 * torch.randn_like(clean)
        states = [crf(z, iterations=n) for n in range(1, 11)]
    changes = [(after - before).abs().mean().item() for before, after in itertools.pairwise(states)]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < 0.25 * changes[0]
