from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.training import losses

ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)


@given(gamma=st.floats(0.5, 20), step=st.integers(0, 999), prediction=st.sampled_from(["epsilon", "v_prediction"]))
def test_min_snr_weights_follow_the_formula(gamma: float, step: int, prediction: str) -> None:
    """Hang et al. 2023, equation 4: min(snr, gamma) / snr for noise; velocity divides by snr + 1."""
    snr = float(ALPHAS[step] / (1 - ALPHAS[step]))
    wanted = min(snr, gamma) / (snr + 1 if prediction == "v_prediction" else snr)
    assert float(losses.min_snr_weights(ALPHAS, gamma, prediction)[step]) == pytest.approx(wanted, rel=1e-5)


def test_gamma_zero_weighs_every_timestep_alike() -> None:
    assert torch.equal(losses.min_snr_weights(ALPHAS, 0.0, "epsilon"), torch.ones(1000))


@given(count=st.integers(1, 64), seed=st.integers(0, 1000))
def test_timesteps_are_one_in_each_slice(count: int, seed: int) -> None:
    found = sorted(losses.spread_timesteps(count, 1000, torch.Generator().manual_seed(seed)).tolist())
    for number, timestep in enumerate(found):
        assert number * 1000 // count <= timestep <= (number + 1) * 1000 / count


def test_noise_offset_moves_whole_channels() -> None:
    shape = torch.Size((64, 4, 8, 8))
    plain = losses.draw_noise(shape, 0.0, torch.Generator().manual_seed(0)).mean(dim=(2, 3)).std()
    moved = losses.draw_noise(shape, 0.5, torch.Generator().manual_seed(0)).mean(dim=(2, 3)).std()
    assert float(plain) == pytest.approx(1 / 8, rel=0.2)
    assert float(moved) == pytest.approx((1 / 64 + 0.25) ** 0.5, rel=0.2)


def test_noise_and_velocity_lead_back_to_the_latents() -> None:
    latents, noise, alpha = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0.9, 0.5, 0.1])
    noisy, share = losses.add_noise(latents, noise, alpha), alpha.view(-1, 1, 1, 1)
    velocity = losses.target(latents, noise, alpha, "v_prediction")
    assert torch.allclose(share.sqrt() * noisy - (1 - share).sqrt() * velocity, latents, atol=1e-5)
    assert losses.target(latents, noise, alpha, "epsilon") is noise


def test_a_weight_counts_for_its_own_picture_only() -> None:
    answer, wanted = torch.zeros(2, 1, 1, 1), torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)
    assert float(losses.weighted_error(answer, wanted, torch.tensor([1.0, 0.0]))) == 0.5
