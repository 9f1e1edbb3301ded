"""Optimisation of the initial noise against what the musician asked for."""
