"""Errors that the host object raises."""

__all__ = ["ConfigurationError"]


class ConfigurationError(ValueError):
    """Required runtime configuration is missing or names something that does not exist.

    `category` is one of `carrier_credentials`, `llm_key`, `engine_config`, `other`.
    """

    def __init__(self, message: str, category: str) -> None:
        super().__init__(message)
        self.category = category

    def __reduce__(self) -> "tuple[type[ConfigurationError], tuple[object, str]]":
        # Without it, an error that comes back from a process pool cannot be made again there.
        return type(self), (self.args[0], self.category)
