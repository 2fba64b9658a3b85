"""The one kind of error that ends in a message instead of a traceback."""


class PeersError(Exception):
    """What a user can mend; the message says where, what, and the remedy when it is known."""
