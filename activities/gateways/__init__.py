"""Doors to other people's services: vendor words stop here."""
