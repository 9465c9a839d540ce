"""What a call of the diagnostics API answers instead of raising."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OK", "Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a call of the API answers instead of raising; true if it did what was asked.

    `status` is `ok`, or one word that names the rule; `message` names the call and the rule.
    """

    status: str
    message: str = ""

    def __bool__(self) -> bool:
        return self.status == "ok"


#: The answer to what went well; one object, because most answers are this one.
OK = Result("ok")
