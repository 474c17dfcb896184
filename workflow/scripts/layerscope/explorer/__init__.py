"""The explorer: one HTML page in which a reader chooses what of a study's tables to see."""
