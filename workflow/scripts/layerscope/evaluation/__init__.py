"""How well models do the task: scores, differences, and what they are associated with."""
