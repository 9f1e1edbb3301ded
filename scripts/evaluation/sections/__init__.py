"""The sections of the evaluation: each measures into a JSON object that its page tells."""
