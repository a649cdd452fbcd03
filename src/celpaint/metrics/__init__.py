"""Metrics of images and videos: numbers only."""
