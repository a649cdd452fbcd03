"""Palette-guided video colorization (Wang et al. 2025)."""
