"""The answers `failures`, `adoption` and `errors`, on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from collector_pages import tell
from collector_process import hex_id
from collector_story import START, call, failed_call, put, row, rows

from getpatter.collector.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "data"))
    yield made
    made.close()


def test_calls_that_failed_as_a_whole_and_by_day(store: Store) -> None:
    for days, calls in ((3, [failed_call, call, call, call]), (2, [failed_call, call])):
        put(store, [one for made in calls for one in made()], days_ago=days)
    assert row(store, "failures")["estimate"] == pytest.approx(2 / 6)
    assert [one["estimate"] for one in rows(store, "failures", by="day")] == [0.25, 0.5]
    assert rows(store, "failures", until="9d") == []


def test_a_sampled_call_weighs_in_the_failures_what_it_stands_for(store: Store) -> None:
    put(store, [*call(sample_rate=0.25), *failed_call(sample_rate=0.25)], rate=0.25)
    assert row(store, "failures")["estimate"] == pytest.approx(1 / 5)


def test_installs_of_each_release_are_counted_by_day(store: Store) -> None:
    both = hex_id()
    for release, installs in (("0.7.1", [both, both, hex_id()]), ("0.7.2", [both])):
        for install in installs:
            put(store, [START], install=install, sdk_version=release, days_ago=1)
    put(store, [START], sdk_version="0.7.2")
    found = [
        (one["cell"]["release"], one["estimate"], one["runs"]) for one in rows(store, "adoption")
    ]
    assert found == [("0.7.1", 2, 3), ("0.7.2", 1, 1), ("0.7.2", 1, 1)]
    assert len({one["cell"]["day"] for one in rows(store, "adoption")}) == 2


def test_an_error_that_became_more_frequent_comes_first_and_is_called_worse(store: Store) -> None:
    tell(store)
    error = failed_call(error_code="auth", error_layer="stt")
    put(store, error, sdk_version="0.7.1", days_ago=9)
    first, *others = rows(store, "errors")
    cell = first["cell"]
    assert (cell["error layer"], cell["error code"], cell["verdict"]) == ("llm", "timeout", "worse")
    assert (cell["release"], cell["against"]) == ("0.7.2", "0.7.1")
    assert first["estimate"] == pytest.approx(60 / 120 - 6 / 121)
    assert [one["cell"]["error code"] for one in others] == ["auth"]
    assert others[0]["cell"]["verdict"].startswith("cannot tell yet: about ")


def test_of_one_release_no_error_can_be_more_frequent(store: Store) -> None:
    put(store, failed_call(), days_ago=9)
    assert rows(store, "errors") == []
