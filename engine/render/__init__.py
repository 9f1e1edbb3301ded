"""From generated audio to the finished file: rate, level, seams, plots."""
