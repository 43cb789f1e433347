from itertools import islice, repeat

import torch

from crf.training.discriminator import Discriminator, compute_discriminator_loss, compute_generator_loss


def test_the_discriminator_has_the_papers_layers() -> None:
    widths = [m.out_channels for m in Discriminator(8) if isinstance(m, torch.nn.Conv2d)]
    assert widths == [64, 64, 128, 1]
    assert Discriminator(8)(torch.randn(2, 8, 6, 5)).shape == (2, 1, 6, 5)


def test_the_discriminator_learns_to_tell() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(2)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    real, fake = torch.randn(16, 2, 4, 4), torch.randn(16, 2, 4, 4) * 0.2
    for _ in islice(repeat(None), 60):
        loss = compute_discriminator_loss(discriminator(real), discriminator(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.7  # 2 log 2 = 1.39 where nothing is told apart
    assert compute_generator_loss(discriminator(fake)) > compute_generator_loss(discriminator(real))
