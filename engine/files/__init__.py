"""Files that come from and go back to the musician: audio clips and MIDI melodies."""
