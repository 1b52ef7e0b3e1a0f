"""irtrack: real-time detection and tracking of small targets in infrared video."""

__version__ = "0.1.0"
