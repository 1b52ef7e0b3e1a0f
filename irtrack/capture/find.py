"""Every camera that can be found from here."""

from __future__ import annotations

from irtrack.capture.aravis import find_aravis
from irtrack.capture.camera import FoundCamera, find_cameras
from irtrack.capture.genicam import find_genicam


def find_all() -> list[FoundCamera]:
    """Cameras of this machine and of its network, with the SOURCE text of each; takes up to some seconds."""
    return find_cameras() + find_genicam() + find_aravis()
