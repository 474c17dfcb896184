"""The page that describes the prepared data of a task."""
