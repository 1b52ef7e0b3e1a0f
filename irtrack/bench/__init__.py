"""Milliseconds side by side in one run; ratios are what to quote, since machines differ and are noisy."""
