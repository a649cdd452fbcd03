"""Networks of ColorizeDiffusion v2 (Yan et al., 2025): one drawing colored after any reference picture."""
