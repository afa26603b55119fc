"""The embedded stack: real servers from wheels, supervised, on loopback only."""
