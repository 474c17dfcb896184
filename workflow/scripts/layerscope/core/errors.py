"""The one exception that is meant for the user, shown as one line and never as a traceback."""


class UserError(Exception):
    """Something the user can fix: the message names the culprit, its value and what is allowed."""
