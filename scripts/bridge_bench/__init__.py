"""The bridge under load and over time: what it adds, what it holds, and whether it grows."""
