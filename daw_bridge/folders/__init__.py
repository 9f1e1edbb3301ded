"""Watched folders: what a dropped file asks for, when it is whole, and what was done already."""
