"""Degrees Celsius from raw counts: what a radiometric camera writes of its calibration and of what lay before its lens.

A count is the radiation that arrived: of the object, weakened by its emissivity and the air, what the object reflects,
and that of the air and of a window (Minkina and Dudzik, Infrared Thermography, 2009, ch. 2). Between radiation and
temperature lies Planck's law with the camera's constants R1, R2, B, F and O.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from irtrack.core import Floats

KELVIN = 273.15


@dataclass(frozen=True)
class Radiometry:
    """Constants of the camera, and of the measurement: temperatures in kelvin, the distance in metres, the humidity as
    a share. `air`: alpha 1 and 2, beta 1 and 2 and X of the air's transmission."""

    r1: float
    r2: float
    b: float
    f: float
    o: float
    emissivity: float = 1.0
    reflected_k: float = KELVIN + 20
    air_k: float = KELVIN + 20
    distance_m: float = 0.0
    humidity: float = 0.5
    air: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 1.0)
    window_k: float = KELVIN + 20
    window: float = 1.0
    """Transmission of a window before the lens."""

    @property
    def sound(self) -> bool:
        """Whether they are constants that temperatures can be made with."""
        values = (self.r1, self.r2, self.b, self.f, self.o, *self.air, self.humidity, self.distance_m)
        kelvins = (self.reflected_k, self.air_k, self.window_k)
        return (
            bool(np.isfinite((*values, *kelvins, self.emissivity, self.window)).all())
            and self.r1 > 0 and self.r2 > 0 and self.b > 0 and self.f > 0 and self.distance_m >= 0
            and 0 < self.emissivity <= 1 and 0 < self.window <= 1 and 0 <= self.humidity <= 1
            and all(50 < k < 5000 for k in kelvins)
        )  # fmt: skip

    def counts(self, kelvin: ArrayLike) -> Floats:
        """Counts of a black body of a temperature."""
        radiation: Floats = self.r1 / (self.r2 * (np.exp(self.b / np.asarray(kelvin, float)) - self.f)) - self.o
        return radiation

    @property
    def transmission(self) -> float:
        """Of the air between object and camera."""
        t = self.air_k - KELVIN
        water = self.humidity * np.exp(1.5587 + 6.939e-2 * t - 2.7816e-4 * t**2 + 6.8455e-7 * t**3)
        a1, a2, b1, b2, x = self.air
        far, wet = np.sqrt(self.distance_m), np.sqrt(water)
        return float(x * np.exp(-far * (a1 + b1 * wet)) + (1 - x) * np.exp(-far * (a2 + b2 * wet)))

    def __call__(self, counts: ArrayLike) -> Floats:
        """Degrees Celsius of counts; NaN where none could give them."""
        tau, e = self.transmission, self.emissivity
        arrived = (np.asarray(counts, float) - (1 - self.window) * self.counts(self.window_k)) / self.window
        of_object = arrived - tau * (1 - e) * self.counts(self.reflected_k) - (1 - tau) * self.counts(self.air_k)
        with np.errstate(invalid="ignore", divide="ignore"):
            kelvin = self.b / np.log(self.r1 / (self.r2 * (of_object / (tau * e) + self.o)) + self.f)
            out: Floats = np.where(kelvin > 0, kelvin - KELVIN, np.nan)
        return out
