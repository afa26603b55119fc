"""What steps can call: one file per family, one decorator per action."""
