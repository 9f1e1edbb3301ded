"""Generative models behind one pair of contracts: a denoiser and a codec."""
