"""Schedules: at which moments a trigger is due, and what becomes of each. docs/schedules.md is the same in words."""
