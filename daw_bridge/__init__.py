"""The bridge: a daemon between a digital audio workstation and the render engine."""

__version__ = "0.1.0"
