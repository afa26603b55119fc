"""Webhooks: what a request must prove, what it says, and what the ledger calls it. Pure rules on raw bytes."""
