"""What clients hand in: paths, which must lie under allowed folders, and uploads."""
