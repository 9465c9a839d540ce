"""What a call of the diagnostics API answers instead of raising."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OK", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a call of the API answers instead of raising; true if it did what was asked.

    `status` is `ok`, or one word that names the rule that stood against it; `message` names the
    call and the rule, for a person.
    """

    status: str
    message: str = ""

    def __bool__(self) -> bool:
        return self.status == "ok"


#: Done as asked.
OK = Result("ok")
