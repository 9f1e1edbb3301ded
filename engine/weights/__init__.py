"""The weights that ship with the package, and their model card."""
