"""Metrics as statistics of counts, their intervals, and models fitted to them."""
