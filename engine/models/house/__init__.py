"""The embedded model: a spectral codec and a small flow transformer."""
