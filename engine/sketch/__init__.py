"""Composition, harmonisation and a plain synthesiser: the priors for melody and text."""
