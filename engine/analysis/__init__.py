"""What a clip tells about itself (tempo, key, where it can be continued) and what a render reports.

Everything is numpy and scipy; audio is float64 `[channels, samples]` at the clip's own rate.
"""
