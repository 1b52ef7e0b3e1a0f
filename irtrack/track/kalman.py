"""A bank of constant-velocity Kalman filters: all tracks at once, no object for each target.

State (x, y, vx, vy) in px and px/s; F, H, P, Q, R, S as in the textbooks (Bar-Shalom, Li, Kirubarajan 2001, ch. 5-6).
Equal to filterpy's KalmanFilter (the tests' oracle) up to rounding. The products are written out by blocks of position
and velocity: for thousands of tracks that is several times faster than stacks of small matrix products.
"""

from __future__ import annotations

from functools import lru_cache
from math import log1p

import numpy as np

from irtrack.core import Floats, frozen


@lru_cache(maxsize=256)
def transition(dt_s: float, acceleration: float) -> tuple[Floats, Floats]:
    """F and Q (4, 4) of a step of `dt_s`; piecewise-constant white acceleration of that standard deviation."""
    from filterpy.common import Q_discrete_white_noise  # here: it loads all of scipy, for which commands would wait

    F = np.eye(4)
    F[0, 2] = F[1, 3] = dt_s
    Q = np.zeros((4, 4))
    one_axis = Q_discrete_white_noise(2, dt_s, acceleration**2)
    Q[np.ix_((0, 2), (0, 2))] = one_axis
    Q[np.ix_((1, 3), (1, 3))] = one_axis
    return frozen(F), frozen(Q)


def first_state(xy: Floats, position_sigma_px: float, speed_sigma_px_s: float) -> tuple[Floats, Floats]:
    """States (N, 4) and covariances (N, 4, 4) after a first measurement (N, 2): at rest, velocity unknown."""
    P = np.zeros((len(xy), 4, 4))
    P[:, (0, 1), (0, 1)] = position_sigma_px**2
    P[:, (2, 3), (2, 3)] = speed_sigma_px_s**2
    return np.concatenate([xy, np.zeros_like(xy)], 1), P


def predict(x: Floats, P: Floats, dt_s: float, acceleration: float | Floats) -> tuple[Floats, Floats]:
    """States (N, 4) and covariances (N, 4, 4) after `dt_s` seconds: F x and F P F' + Q.

    `acceleration`: standard deviation of the process noise, one for all or (N,).
    """
    if isinstance(acceleration, np.ndarray):
        noise = acceleration[:, None, None] ** 2 * transition(dt_s, 1.0)[1]
    else:
        noise = transition(dt_s, acceleration)[1]
    out, C = x.copy(), P + noise
    out[:, :2] += dt_s * x[:, 2:]
    B, D = P[:, :2, 2:], P[:, 2:, 2:]
    C[:, :2, :2] += dt_s * (B + B.transpose(0, 2, 1)) + dt_s**2 * D
    C[:, :2, 2:] += dt_s * D
    C[:, 2:, :2] = C[:, :2, 2:].transpose(0, 2, 1)
    return out, C


def innovation_covariance(P: Floats, R: Floats) -> Floats:
    """S = H P H' + R (N, 2, 2); H takes the position."""
    return P[:, :2, :2] + R


def inverse(S: Floats) -> Floats:
    """Inverses of symmetric (N, 2, 2) matrices, in closed form."""
    a, b, c = S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]
    out = np.empty_like(S)
    out[:, 0, 0], out[:, 1, 1] = c, a
    out[:, 0, 1] = out[:, 1, 0] = -b
    return out / determinant(S)[:, None, None]


def determinant(S: Floats) -> Floats:
    """Determinants (N,) of symmetric (N, 2, 2) matrices."""
    value: Floats = S[:, 0, 0] * S[:, 1, 1] - S[:, 0, 1] ** 2
    return value


def update(x: Floats, P: Floats, z: Floats, R: Floats) -> tuple[Floats, Floats]:
    """States and covariances after position measurements z (N, 2) with covariances R (N, 2, 2).

    P - K S K' with K S = P H', symmetric by construction.
    """
    PH = P[:, :, :2]
    inv = inverse(innovation_covariance(P, R))
    # K = P H' S^-1 (N, 4, 2), by its two columns.
    k0 = PH[:, :, 0] * inv[:, 0, 0, None] + PH[:, :, 1] * inv[:, 0, 1, None]
    k1 = PH[:, :, 0] * inv[:, 0, 1, None] + PH[:, :, 1] * inv[:, 1, 1, None]
    d = z - x[:, :2]
    x = x + k0 * d[:, 0, None] + k1 * d[:, 1, None]
    P = P - k0[:, :, None] * PH[:, None, :, 0] - k1[:, :, None] * PH[:, None, :, 1]
    return x, (P + P.transpose(0, 2, 1)) / 2


def mahalanobis_squared(difference: Floats, S: Floats) -> Floats:
    """d' S^-1 d for differences (M, 2) and covariances (M, 2, 2), in closed form."""
    a, b, c = S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]
    dx, dy = difference[:, 0], difference[:, 1]
    squared: Floats = (c * dx**2 - 2 * b * dx * dy + a * dy**2) / determinant(S)
    return squared


def gate_of(probability: float) -> float:
    """Squared Mahalanobis distance within which the true measurement lies with a probability below 1: the quantile of
    chi-square with two degrees of freedom."""
    return -2 * log1p(-probability)


def log_density(difference: Floats, S: Floats) -> Floats:
    """Logarithm of the normal density of differences (M, 2) with covariances (M, 2, 2)."""
    value: Floats = -0.5 * (mahalanobis_squared(difference, S) + np.log(determinant(S))) - np.log(2 * np.pi)
    return value
