"""Workflows and templates: lists, the editor, versions, starting, dry runs."""
