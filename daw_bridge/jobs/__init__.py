"""Jobs: a pure state machine, its journal, and the loop that renders one after the other."""
