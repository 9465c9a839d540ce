"""What a page is about: the filters in its URL, and links that keep them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from getpatter.collector import answers
from getpatter.collector.answers.filters import read
from getpatter.collector.limits import PROVISIONAL_DAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

__all__ = ["PERIODS", "Selection", "Wanted", "select"]

#: What `since` may be by a click, and what it is called.
PERIODS = {"7d": "7 days", "30d": "30 days", "90d": "90 days", "all": "all"}
_USUAL = "30d"
_NAMES = (
    "release", "against", "os", "carrier", "engine", "provider", "direction", "since", "until",
)  # fmt: skip
_DAYS = re.compile("([0-9]{1,4})d")


@lru_cache(maxsize=1)
def _filters() -> dict[str, frozenset[str]]:
    return {one["name"]: frozenset(one["filters"]) for one in answers.listing()}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer that a page needs, and the filters that it is asked with."""

    name: str
    filters: tuple[tuple[str, str], ...]

    def link(self, kind: str) -> str:
        """Return the relative address of the answer itself."""
        query = urlencode(self.filters)
        return f"answers/{self.name}.{kind}" + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Selection:
    """The filters of a page, checked. `question` and `by` belong to the page of questions."""

    given: Mapping[str, str]
    question: str = ""
    by: str = ""

    @property
    def since(self) -> str:
        """Return the chosen period, or the first day."""
        return self.given.get("since", _USUAL)

    @cached_property
    def filters(self) -> dict[str, str]:
        """Return the filters as answers take them."""
        found = {**self.given, "since": self.since}
        if found["since"] == "all":
            del found["since"]
        return found

    def of(self, name: str, **more: str) -> Wanted:
        """Return an answer as it is wanted: with those of the filters that it has."""
        known = _filters()[name]
        found = {**self.filters, **more}
        days = _DAYS.fullmatch(found.get("since", ""))
        if "against" in known and days and int(days[1]) <= PROVISIONAL_DAYS:
            found.setdefault("until", "0d")  # else there would be no day left to compare
        kept = {key: value for key, value in found.items() if key in known}
        return Wanted(name, tuple(sorted(kept.items())))

    def unused(self, *names: str) -> list[str]:
        """Return the filters that were chosen and that these answers do not have."""
        known = {name for one in names for name in _filters()[one]}
        return [name for name in self.given if name not in known]

    def link(self, page: str, **changes: str | None) -> str:
        """Return the relative address of a page with these filters, and `changes`; None removes."""
        found = {**self.given, **changes}
        query = urlencode({key: value for key, value in found.items() if value})
        return (page or "./") + (f"?{query}" if query else "")


def select(query: Sequence[tuple[str, str]], today: date, *, has_question: bool) -> Selection:
    """Return what the query of a URL selects. FilterError says what cannot be."""
    given: dict[str, str] = {}
    for name, value in query:
        if name in given and value:
            message = f"the filter {name[:40]} was given twice"
            raise answers.FilterError(message)
        if value.strip():
            given[name] = value.strip()
    question, by = (given.pop(name, "") if has_question else "" for name in ("question", "by"))
    checked = {key: value for key, value in given.items() if (key, value) != ("since", "all")}
    read(checked, _NAMES, (), today)
    ordered = {name: given[name] for name in _NAMES if name in given}
    return Selection(ordered, question, by)
