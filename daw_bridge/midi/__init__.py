"""Live MIDI: following a host's clock, recording a melody, writing it to a file."""
