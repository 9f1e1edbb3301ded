"""The panel: a page of plain JavaScript that the daemon serves, a client of the protocol."""
