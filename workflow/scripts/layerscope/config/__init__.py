"""The configuration: one small module a section, so that a program imports its own part alone."""
