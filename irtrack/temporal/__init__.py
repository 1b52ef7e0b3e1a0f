"""Dim targets by what changes over time, from frames and the motion of the scene."""
