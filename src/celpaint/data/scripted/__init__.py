"""Scripted film-like shots, the same on every machine: what methods are measured on, and nothing trains on.

shots (scripts) -> stage (camera, light) -> raster (cels), scenery (painted sets), figure, effects, drawings -> Frame
"""
