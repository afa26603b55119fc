"""Signing in and up, second factors, invitations."""
