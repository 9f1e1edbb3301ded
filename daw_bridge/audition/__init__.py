"""Playing a take through an audio device, in the host's time."""
