"""Programs that talk to the daemon: which are here, and where our part of each belongs."""
