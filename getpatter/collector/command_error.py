"""What a command says instead of working: one line, and the exit code."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """A line on stderr. Exit codes: 1 it did not work, 2 the command line cannot be used."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code
