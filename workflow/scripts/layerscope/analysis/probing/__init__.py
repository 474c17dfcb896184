"""Probes: what can be read from the frozen activations of a layer."""
