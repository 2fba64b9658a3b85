"""The one kind of error that ends in a message instead of a traceback."""


class StudyError(Exception):
    """What a user can mend; the message says where, what, and the remedy when it is known."""

    def __init__(self, message, exit_code=1):
        super().__init__(message)
        self.exit_code = exit_code
