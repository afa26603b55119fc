"""Secrets: names and versions, never values."""
