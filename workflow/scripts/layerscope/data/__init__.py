"""The data: reading and deriving tasks and corpora, splits, samples, and their canonical tables."""
