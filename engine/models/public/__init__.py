"""Public models in the on-disk format of diffusers, behind the engine's contracts.

One file for each architecture turns the components of its pipeline into a `Denoiser`, a `Codec` and
what they are told (`contract.py`). The pipelines themselves are never called: they sample without
gradients.
"""
