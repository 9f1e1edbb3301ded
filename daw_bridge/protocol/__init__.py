"""What clients and daemon say to each other: one table, and the codecs that read it."""
