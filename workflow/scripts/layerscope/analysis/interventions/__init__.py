"""Causal checks on a fine-tuned model: its heads masked, its label erased at a layer."""
