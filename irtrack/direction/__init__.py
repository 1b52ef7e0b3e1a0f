"""Directions: from pixels to azimuth and elevation by a camera's lens and pose, and from two stations to positions.

Without torch and Qt. `lens` and `camera` say where a pixel looks, `calibrate` finds both from known points, `bearings`
gives the directions of tracks, `stations` and `triangulate` put two stations' logs together.
"""
