"""Where results come from: audit, export, comparison and explanation, all from run records."""
