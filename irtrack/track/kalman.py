"""A bank of constant-velocity Kalman filters: all tracks at once, no object for each target.

State (x, y, vx, vy) in px and px/s; F, H, P, Q, R, S as in the textbooks (Bar-Shalom, Li, Kirubarajan 2001, ch. 5-6).
Equal to filterpy's KalmanFilter (the tests' oracle) up to rounding.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from filterpy.common import Q_discrete_white_noise

from irtrack.core import Floats, frozen


@lru_cache(maxsize=256)
def transition(dt_s: float, acceleration: float) -> tuple[Floats, Floats]:
    """F and Q (4, 4) of a step of `dt_s`; piecewise-constant white acceleration of that standard deviation."""
    F = np.eye(4)
    F[0, 2] = F[1, 3] = dt_s
    Q = np.zeros((4, 4))
    one_axis = Q_discrete_white_noise(2, dt_s, acceleration**2)
    Q[np.ix_((0, 2), (0, 2))] = one_axis
    Q[np.ix_((1, 3), (1, 3))] = one_axis
    return frozen(F), frozen(Q)


def predict(x: Floats, P: Floats, dt_s: float, acceleration: float) -> tuple[Floats, Floats]:
    """States (N, 4) and covariances (N, 4, 4) after `dt_s` seconds."""
    F, Q = transition(dt_s, acceleration)
    return x @ F.T, F @ P @ F.T + Q


def innovation_covariance(P: Floats, R: Floats) -> Floats:
    """S = H P H' + R (N, 2, 2); H takes the position."""
    return P[:, :2, :2] + R


def update(x: Floats, P: Floats, z: Floats, R: Floats) -> tuple[Floats, Floats]:
    """States and covariances after position measurements z (N, 2) with covariances R (N, 2, 2); Joseph form."""
    S = innovation_covariance(P, R)
    K = np.linalg.solve(S, P[:, :2, :]).transpose(0, 2, 1)
    x = x + np.einsum("nij,nj->ni", K, z - x[:, :2])
    I_KH = np.broadcast_to(np.eye(4), P.shape).copy()
    I_KH[:, :, :2] -= K
    P = I_KH @ P @ I_KH.transpose(0, 2, 1) + K @ R @ K.transpose(0, 2, 1)
    return x, P


def mahalanobis_squared(difference: Floats, S: Floats) -> Floats:
    """d' S^-1 d for differences (M, 2) and covariances (M, 2, 2), in closed form."""
    a, b, c = S[:, 0, 0], S[:, 0, 1], S[:, 1, 1]
    dx, dy = difference[:, 0], difference[:, 1]
    squared: Floats = (c * dx**2 - 2 * b * dx * dy + a * dy**2) / (a * c - b * b)
    return squared
