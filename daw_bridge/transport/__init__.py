"""The ways in: OSC over UDP, WebSocket, and a little HTTP."""
