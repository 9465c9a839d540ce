"""The real client and a real collector: what is recorded is kept, once."""

from contextlib import closing
from pathlib import Path

import pytest
from collector_process import Start, rows
from in_process import client as make_client

pytest_plugins = ("collector_fixtures",)


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_what_a_client_records_is_kept_with_its_headers(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    (tmp_path / "client").mkdir()
    with closing(make_client(tmp_path / "client", collector.endpoint)) as client:
        for number in range(150):
            client.record("cli_command", cli_command="eval")
            if number % 50 == 49:
                assert client.flush(30)
        client.record("call_completed", outcome="error", error_code="auth", latency_ms=5)
        client.record("no_such_event")
        assert client.flush(30)
    assert collector.end() == (0, "")
    data = tmp_path / "data"
    assert rows(
        data,
        "SELECT event, count(*), bool_or(legacy), min(rate), max(age) < 60, min(kept) FROM events"
        " WHERE event IN ('cli_command', 'call_completed') GROUP BY 1 ORDER BY 1",
    ) == [
        ("call_completed", 1, False, 1.0, True, 1.0),
        ("cli_command", 150, False, 1.0, True, 1.0),
    ]
    assert rows(data, "SELECT event, reason, n FROM losses") == [("unknown", "unknown_event", 1)]
    assert rows(data, "SELECT count(DISTINCT run_id), max(error) FROM runs") == [(1, 1)]
    assert rows(data, "SELECT count(*) FROM refusals") == [(0,)]
