"""The uid of a call that more than one process may report: with the names that it shares."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OnceUid"]


class OnceUid(str):
    """A `call_uid` whose event is built for the first process that reports one of `names`."""

    __slots__ = ("names",)
    names: tuple[str, ...]

    def __new__(cls, uid: str, names: "tuple[str, ...]") -> "Self":
        """Return the uid of a call that is known by these names, in whichever process."""
        made = super().__new__(cls, uid)
        made.names = names
        return made
