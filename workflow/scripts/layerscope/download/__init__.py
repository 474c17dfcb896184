"""Fetching models and data, and checking what was fetched."""
