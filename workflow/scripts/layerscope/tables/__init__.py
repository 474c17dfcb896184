"""The tables that figures, the explorer and the summary read."""
