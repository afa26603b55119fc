"""Composition root: settings, wiring, the processes that serve, and the embedded development stack."""
