"""Two studies or two commits side by side: what differs, and how the scores changed."""
