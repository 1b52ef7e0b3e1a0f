"""irtrack: real-time detection and tracking of small targets in infrared video."""

import os

__version__ = "0.1.0"

SPINS = "20000"
"""Turns of the loop in which an idle thread of OpenMP waits for work before it sleeps, about a millisecond.

gcc's library turns 300,000 times by default, 15 ms: beside other busy processes a thread then burns the time that the
one it waits for needs, and a frame takes up to ten times as long, by chance. Sleeping at once costs a quiet machine a
third more time. `irtrack bench neighbours` measures both. Read when torch loads, so it is set before anything else.
"""

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = SPINS
