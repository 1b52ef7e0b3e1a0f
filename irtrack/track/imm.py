"""Interacting multiple models, all tracks at once: a quiet and a manoeuvring constant-velocity filter for each.

Blom and Bar-Shalom, "The interacting multiple model algorithm for systems with Markovian switching coefficients", IEEE
Trans. Automatic Control 33(8), 1988; Bar-Shalom, Li, Kirubarajan 2001, section 11.6.6. Arrays: x (N, M, 4), P
(N, M, 4, 4), mu (N, M) for N tracks and M models. Without a measurement the probabilities move with the transition
matrix alone: a coasting track drifts towards not knowing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irtrack.core import Floats
from irtrack.track.kalman import mahalanobis_squared, transition, update


def switching(dt_s: float, dwell_s: Sequence[float]) -> Floats:
    """Transition matrix (M, M) of a step: a model is left after its mean dwell time, for the others alike."""
    m = len(dwell_s)
    leave = 1 - np.exp(-dt_s / np.asarray(dwell_s))
    T = np.broadcast_to(leave[:, None] / (m - 1), (m, m)).copy()
    T[np.arange(m), np.arange(m)] = 1 - leave
    return T


def combined(x: Floats, P: Floats, mu: Floats) -> tuple[Floats, Floats]:
    """Mean (N, 4) and covariance (N, 4, 4) of the mixture."""
    mean = (mu[..., None] * x).sum(1)
    d = x - mean[:, None]
    return mean, (mu[..., None, None] * (P + d[..., None] * d[..., None, :])).sum(1)


def mix(x: Floats, P: Floats, mu: Floats, T: Floats) -> tuple[Floats, Floats, Floats]:
    """Each model's start of a step, mixed from all models' ends of the last; and the predicted probabilities."""
    c = mu @ T
    w = mu[:, :, None] * T / c[:, None, :]  # (N, from, to)
    mixed = np.swapaxes(w, 1, 2) @ x
    d = x[:, :, None] - mixed[:, None]  # (N, from, to, 4)
    spread = P[:, :, None] + d[..., None] * d[..., None, :]
    return mixed, (w[..., None, None] * spread).sum(1), c


def predict(
    x: Floats, P: Floats, mu: Floats, dt_s: float, accelerations: Sequence[float], dwell_s: Sequence[float]
) -> tuple[Floats, Floats, Floats]:
    """States after `dt_s` seconds; `accelerations` (px/s^2) are the process noise of the models."""
    x, P, mu = mix(x, P, mu, switching(dt_s, dwell_s))
    F, _ = transition(dt_s, accelerations[0])
    Q = np.stack([transition(dt_s, a)[1] for a in accelerations])
    return x @ F.T, F @ P @ F.T + Q, mu


def update_models(x: Floats, P: Floats, mu: Floats, z: Floats, R: Floats) -> tuple[Floats, Floats, Floats]:
    """States after position measurements z (N, 2) with covariances R (N, 2, 2)."""
    n, m = mu.shape
    S = P[..., :2, :2] + R[:, None]
    flat = S.reshape(-1, 2, 2)
    distance = mahalanobis_squared((z[:, None] - x[..., :2]).reshape(-1, 2), flat).reshape(n, m)
    log_likelihood = -0.5 * (distance + np.log(S[..., 0, 0] * S[..., 1, 1] - S[..., 0, 1] ** 2))
    weight = mu * np.exp(log_likelihood - log_likelihood.max(1, keepdims=True))
    each_R = np.repeat(R, m, 0)
    x, P = update(x.reshape(-1, 4), P.reshape(-1, 4, 4), np.repeat(z, m, 0), each_R)
    return x.reshape(n, m, 4), P.reshape(n, m, 4, 4), weight / weight.sum(1, keepdims=True)
