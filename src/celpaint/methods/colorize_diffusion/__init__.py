"""ColorizeDiffusion v2: one drawing colored after any reference picture (Yan et al., 2025)."""
