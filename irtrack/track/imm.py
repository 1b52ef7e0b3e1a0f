"""Interacting multiple models, all tracks at once: a quiet and a manoeuvring constant-velocity filter for each.

Blom and Bar-Shalom, "The interacting multiple model algorithm for systems with Markovian switching coefficients", IEEE
Trans. Automatic Control 33(8), 1988; Bar-Shalom, Li, Kirubarajan 2001, section 11.6.6. Arrays: x (N, 2, 4), P
(N, 2, 4, 4), mu (N, 2) for N tracks and two models. Without a measurement the probabilities move with the transition
matrix alone: a coasting track drifts towards not knowing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats
from irtrack.track.kalman import innovation_covariance, log_density, predict, update


def switching(dt_s: float, dwell_s: Sequence[float]) -> Floats:
    """Transition matrix (2, 2) of a step: a model is left for the other after its mean dwell time."""
    leave = 1 - np.exp(-dt_s / np.asarray(dwell_s))
    return np.array([[1 - leave[0], leave[0]], [leave[1], 1 - leave[1]]])


def outer(d: Floats) -> Floats:
    """d d' of vectors (N, 4)."""
    product: Floats = d[:, :, None] * d[:, None, :]
    return product


def combined(x: Floats, P: Floats, mu: Floats, spread: Floats | None = None) -> tuple[Floats, Floats]:
    """Mean (N, 4) and covariance (N, 4, 4) of the mixture; `spread`: `outer` of the models' difference, if known."""
    a, b = mu[:, 0, None], mu[:, 1, None]
    spread = outer(x[:, 0] - x[:, 1]) if spread is None else spread
    covariance = a[..., None] * P[:, 0]
    covariance += b[..., None] * P[:, 1]
    covariance += (a * b)[..., None] * spread
    return a * x[:, 0] + b * x[:, 1], covariance


def mix(x: Floats, P: Floats, mu: Floats, T: Floats) -> tuple[Floats, Floats, Floats]:
    """Each model's start of a step, mixed from both models' ends of the last; and the predicted probabilities."""
    c = mu @ T
    w = mu[:, :, None] * T / c[:, None, :]  # (N, from, to)
    spread, mixed_x, mixed_P = outer(x[:, 0] - x[:, 1]), np.empty_like(x), np.empty_like(P)
    for to in (0, 1):
        mixed_x[:, to], mixed_P[:, to] = combined(x, P, w[:, :, to], spread)
    return mixed_x, mixed_P, c


def predict_models(
    x: Floats, P: Floats, mu: Floats, dt_s: float, accelerations: Sequence[float | Floats], dwell_s: Sequence[float]
) -> tuple[Floats, Floats, Floats]:
    """States after `dt_s` seconds; `accelerations` (px/s^2) are the process noise of the models, of all or each."""
    x, P, mu = mix(x, P, mu, switching(dt_s, dwell_s))
    for k, acceleration in enumerate(accelerations):
        x[:, k], P[:, k] = predict(x[:, k], P[:, k], dt_s, acceleration)
    return x, P, mu


def update_models(x: Floats, P: Floats, mu: Floats, z: Floats, R: Floats) -> tuple[Floats, Floats, Floats]:
    """States after position measurements z (N, 2) with covariances R (N, 2, 2)."""
    x, P = x.copy(), P.copy()
    log_likelihood = np.empty_like(mu)
    for k in (0, 1):
        log_likelihood[:, k] = log_density(z - x[:, k, :2], innovation_covariance(P[:, k], R))
        x[:, k], P[:, k] = update(x[:, k], P[:, k], z, R)
    weight = mu * np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
    return x, P, weight / weight.sum(1, keepdims=True)
