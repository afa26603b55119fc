"""What waits for its reader, and how work stands."""
