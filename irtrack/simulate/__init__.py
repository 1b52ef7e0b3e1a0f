"""Synthetic infrared scenes with exact sub-pixel truth, seeded: for the demo, the tests and training.

A frame is: a structured background that drifts or a camera that swings over it, targets and lamps as a point-spread
function integrated over pixels, blur by the camera's motion, then the sensor: gain and offset non-uniformity, column
pattern, dead and hot pixels, temporal noise, rounding; then what a recorder burns in. Any frame can be made by itself,
so a scene can be sought like a file.
"""

from irtrack.simulate.drawing import add_target, coloured_noise
from irtrack.simulate.scene import MASK_LEVEL, Scene, Truth, truth_text
from irtrack.simulate.settings import MOST_PLACES, SCENES, SceneSettings, scene_from_text

__all__ = [
    "MASK_LEVEL",
    "MOST_PLACES",
    "SCENES",
    "Scene",
    "SceneSettings",
    "Truth",
    "add_target",
    "coloured_noise",
    "scene_from_text",
    "truth_text",
]
