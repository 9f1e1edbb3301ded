"""Takes: finished audio with its recipe and report, kept until the musician removes it."""
