"""Sending the audio of a take to a client."""
