"""How a command says that it did not work: one line for stderr and an exit code."""

__all__ = ["Failure"]


class Failure(Exception):  # noqa: N818 - printed for the user, not an error of ours
    """`code` 1: it did not work; 2: what it was given cannot be used."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
