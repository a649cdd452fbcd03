"""LVCD measured in depth: quality, settings of the sampler, the example shot, time and memory."""
