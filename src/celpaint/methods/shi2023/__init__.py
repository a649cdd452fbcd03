"""The method of Shi et al., "Reference-Based Deep Line Art Video Colorization", IEEE TVCG 29(6), 2023."""
