"""Palettes: a few colors that guide what a shot is painted in."""
