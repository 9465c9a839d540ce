"""The answers: each a question, a definition in plain words, SQL, and figures with intervals.

SQL (`sql/*.sql`) returns integer sums by cell, rate and group; all other arithmetic is in
`estimate`. Values go in as named parameters, never into the text.
"""

from getpatter.collector.answers.catalogue import (
    QuestionError,
    answer,
    check_filters,
    find,
    gate,
    listing,
)
from getpatter.collector.answers.filters import FILTERS, FilterError
from getpatter.collector.answers.releases import NoPairError

__all__ = [
    "FILTERS", "FilterError", "NoPairError", "QuestionError", "answer", "check_filters", "find",
    "gate", "listing",
]  # fmt: skip
