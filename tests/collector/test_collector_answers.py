"""Answers of a store whose truth is known, on paper."""

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from collector_process import hex_id
from collector_story import START, batch_of, call, failed_call, install_id, put, row, rows, run_id

from getpatter.collector import answers, clock, erasure, operate
from getpatter.collector.answers.definitions import answers as all_answers
from getpatter.collector.limits import DAY
from getpatter.collector.store import Store
from getpatter.collector.store.columns import schemas

QUERIES = sorted(
    entry.name
    for entry in resources.files("getpatter.collector.answers").joinpath("sql").iterdir()
    if entry.name.endswith(".sql")
)
FILTERS = {
    "release": "0.7.2",
    "os": "linux",
    "carrier": "twilio",
    "engine": "pipeline",
    "provider": "openai",
    "direction": "inbound",
    "since": "30d",
    "until": "0d",
}
KEYS = {"cell", "estimate", "lower", "upper", "events", "runs", "installs", "few"}


def text(query: str) -> str:
    return resources.files("getpatter.collector.answers").joinpath("sql", query).read_text("utf-8")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "data"))
    yield made
    made.close()


# Questions and SQL


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "clickhouse"])
@pytest.mark.parametrize("query", QUERIES)
def test_each_query_is_one_select_in_each_dialect(query: str, dialect: str) -> None:
    # `$name` is DuckDB's; sqlglot knows `:name` in the others.
    portable = text(query) if dialect == "duckdb" else re.sub(r"\$([a-z])", r":p_\1", text(query))
    (statement,) = sqlglot.parse(portable, dialect=dialect)
    assert isinstance(statement, sqlglot.exp.Query)


def test_each_query_is_used_and_named() -> None:
    named = {query for one in all_answers().values() for query in one.queries}
    assert {f"{query}.sql" for query in named} == set(QUERIES)


def test_there_is_an_answer_to_every_question_of_the_schemas_and_none_without_a_question() -> None:
    newest = schemas()[max(schemas())]
    asked = {schema["x-question"] for schema in newest.values()} | {
        rule["x-question"] for schema in newest.values() for rule in schema["properties"].values()
    }
    served = {question for one in all_answers().values() for question in one.serves}
    assert asked - served == set()
    assert served - asked == set()
    assert [name for name, one in all_answers().items() if not one.serves] == []


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with something of everything."""
    made = Store(str(tmp_path_factory.mktemp("filled") / "data"))
    common = {"engine": "pipeline", "provider": "openai", "carrier": "twilio"}
    for number in range(4):
        install = install_id(number)
        setup = [
            {"event": "first_run"},
            {"event": "config_incomplete", "missing": "llm_key"},
            {
                **START,
                "container": True,
                "package_manager": "uv",
                "invoked_by_agent": "none",
                "carrier": "twilio",
                "tunnel": "static",
                "serverless": "none",
                "cloud": "aws",
                "days_since_install_bucket": "0",
                "previous_sdk_version": "0.7.1",
            },
            {
                "event": "agent_configured",
                "builtin_tool_count": 2,
                "custom_tool_count_bucket": "1",
                "integration": "none",
                "integration_kind": "none",
                "mcp_server_count_bucket": "0",
                "noise_reduction": "none",
                "turn_detection": "default",
                "preambles_used": False,
                "per_tool_timeouts_set": True,
                "llm_fallback_configured": False,
            },
            {
                "event": "feature_used",
                **{f"{layer}_provider": "openai" for layer in ("stt", "tts", "llm")},
                **{f"{layer}_model": "openai-other" for layer in ("stt", "tts", "llm")},
                **common,
            },
            {"event": "cli_command", "cli_command": "eval"},
        ]
        calls = call(
            **common,
            direction="inbound",
            turn_count_bucket="2_3",
            time_to_first_call_bucket="lt_1h",
            disconnect_reason="completed",
            error_layer="none",
            latency_ms=700 + number,
            duration_seconds=60,
            cost_usd=0.25,
            stt_latency_ms=100,
            llm_ttft_ms=200,
            tts_first_byte_ms=100,
            eou_latency_ms=200,
        )
        losses = {("call_completed", "queue_full"): 1}
        for release in ("0.7.2", "0.8.0"):
            more = failed_call(**common, direction="inbound", disconnect_reason="timeout")
            put(
                made,
                [*setup, *calls, *more],
                install=install,
                days_ago=9,
                losses=losses,
                sdk_version=release,
            )
    made.fold()
    yield made
    made.close()


@pytest.mark.parametrize("name", all_answers())
def test_an_answer_has_exactly_its_keys_and_something_to_say(filled: Store, name: str) -> None:
    found = answers.answer(name, {}, filled.query, clock.now())
    assert set(found) == {"definition", "sql", "filters", "provisional_from", "rows"}
    assert found["rows"]
    for one in found["rows"]:
        assert set(one) == KEYS
        assert one["few"] or one["cell"].get("fact") == "lost"
        assert all(isinstance(value, str) for value in one["cell"].values())
    used = {query for query in QUERIES if text(query) in found["sql"]}
    assert used == {f"{query}.sql" for query in all_answers()[name].queries} - {
        "latency_models.sql"  # only by model
    }


@pytest.mark.parametrize(
    ("name", "filters"),
    [
        (one.name, {name: value})
        for one in all_answers().values()
        if one.field is None or one.field in {"os", "stack", "outcome", "cost_usd"}
        for name, value in [
            *((name, value) for name, value in FILTERS.items() if name in one.filters),
            *(("by", by) for by in one.by),
        ]
    ],
)
def test_a_filter_is_a_parameter_and_never_text(
    filled: Store, name: str, filters: dict[str, str]
) -> None:
    if name in {"releases", "errors"} and "release" in filters:
        filters = {"release": "0.8.0"}
    found = answers.answer(name, filters, filled.query, clock.now())
    assert found["rows"]
    if filters != {"by": "model"}:
        assert found["sql"] == answers.answer(name, {}, filled.query, clock.now())["sql"]
    if "by" in filters:
        assert all(filters["by"] in one["cell"] for one in found["rows"])


@pytest.mark.parametrize(
    ("name", "filters", "said"),
    [
        ("nonsense", {}, "no question"),
        ("funel", {}, "did you mean funnel?"),
        ("funnel", {"colour": "red"}, "no filter 'colour'"),
        ("funnel", {"engine": "pipeline"}, "this answer has no filter engine"),
        ("funnel", {"os": "' OR 1=1 --"}, "os cannot be"),
        ("funnel", {"by": "install_id"}, "by cannot be"),
        ("funnel", {"release": "0.7.2'"}, "release must be a version"),
        ("funnel", {"since": "yesterday"}, "since must be a day"),
        ("releases", {"release": "9.9"}, "no events of release 9.9"),
        ("releases", {"release": "0.8.0", "against": "0.8.0"}, "with itself"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(
    filled: Store, name: str, filters: dict[str, str], said: str
) -> None:
    with pytest.raises((answers.QuestionError, answers.FilterError, answers.NoPairError)) as caught:
        answers.answer(name, filters, filled.query, clock.now())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_last_days_are_provisional_and_no_part_of_a_comparison(filled: Store) -> None:
    now = 20_000 * DAY
    found = answers.answer("releases", {}, filled.query, clock.now())
    assert found["filters"]["until"] < found["provisional_from"]
    found = answers.answer("funnel", {}, filled.query, now)
    assert found["provisional_from"] == "2024-09-27"  # a batch of 7 days ago may still come
    assert "until" not in found["filters"]


# Weights


def failures(store: Store) -> Any:
    return row(store, "quality", fact="calls that failed")


def test_calls_weigh_what_they_stand_for(store: Store) -> None:
    """A drawn run stands for ten; what is never sampled for itself; a run at rate 0 for none."""
    install = hex_id()
    put(store, [START, *call(sample_rate=0.1) * 3], install=install, rate=0.1)
    undrawn = run_id(0.1, drawn=False)
    put(store, [START, *failed_call()[1:] * 5], install=install, run=undrawn, rate=0.1)
    put(store, [START, *failed_call()[1:] * 100], rate=0.0)
    found = failures(store)
    assert found["estimate"] == pytest.approx(5 / (30 + 5))
    assert (found["events"], found["runs"], found["installs"]) == (8, 2, 1)


def test_legacy_errors_weigh_one_and_legacy_failures_what_they_state(store: Store) -> None:
    stated = {"sample_rate": 0.5}
    put(store, failed_call(sample_rate=0.5)[1:], rate=None)
    put(store, [{"event": "call_completed", "outcome": "error", **stated}] * 4, rate=None)
    put(store, [{"event": "call_completed", "outcome": "failed", **stated}] * 3, rate=None)
    put(store, [{"event": "call_completed", "outcome": "completed", **stated}] * 10, rate=None)
    assert failures(store)["estimate"] == pytest.approx((1 + 4 + 6) / (1 + 4 + 6 + 20))


def test_a_repeated_batch_counts_once_and_a_split_one_as_the_whole(store: Store) -> None:
    install, run = hex_id(), run_id(1, drawn=True)
    events = [*call() * 3, *failed_call()]
    for _ in range(2):
        put(store, events[:4], install=install, run=run, key="a" * 32)
    put(store, events[4:], install=install, run=run)
    found = failures(store)
    assert (found["estimate"], found["events"], found["runs"]) == (0.25, 4, 1)


def test_a_run_with_two_rates_weighs_by_its_stamps_and_has_no_place_on_the_frame(
    store: Store,
) -> None:
    run, install = run_id(0.5, drawn=True), hex_id()
    put(store, [START, *call()], run=run, install=install, rate=1.0)
    put(store, call(sample_rate=0.5), run=run, install=install, rate=0.5)
    put(store, [START, *failed_call()])
    assert failures(store)["estimate"] == pytest.approx(1 / 4)
    assert row(store, "quality", fact="runs with more than one rate")["estimate"] == 1
    assert row(store, "funnel", step="a call began")["runs"] == 1
    assert row(store, "funnel", step="started")["runs"] == 2


def test_all_at_once_and_day_by_day_give_the_same_digits(tmp_path: Path) -> None:
    batches = []
    for number in range(15):
        rate = (1.0, 0.3, 0.1)[number % 3]
        drawn = number % 4 > 0 or rate == 1
        stamp = {} if rate == 1 else {"sample_rate": rate}
        events = [START, *failed_call(**stamp)[0 if drawn else 1 :]]
        if drawn:
            events += call(**stamp, latency_ms=400 + 37 * number) * 2
        batches.append((events, hex_id(), run_id(rate, drawn=drawn), rate, number % 5))
    found = []
    for name in ("at_once", "by_day"):
        store = Store(str(tmp_path / name))
        for events, install, run, rate, days in batches:
            put(store, events, install=install, run=run, rate=rate, days_ago=days)
            if name == "by_day":
                store.fold()
        if name == "by_day":
            store.merge()
        found.append({question: rows(store, question) for question in all_answers()})
        if name == "by_day":
            store.rebuild()
            found.append({question: rows(store, question) for question in all_answers()})
        store.close()
    assert found[0] == found[1] == found[2]


def test_an_erased_install_is_in_no_answer(store: Store) -> None:
    gone = hex_id()
    for install in (gone, hex_id()):
        events = [START, {"event": "config_incomplete", "missing": "llm_key"}, *failed_call()]
        put(
            store,
            [*events, {"event": "agent_configured", "turn_detection": "none"}],
            install=install,
        )
    before = {name: rows(store, name) for name in all_answers()}
    erasure.erase(store, gone)
    after = {name: rows(store, name) for name in all_answers()}
    assert before["affected"][0]["installs"] == 2
    assert {one["installs"] for some in after.values() for one in some} <= {0, 1}


# The answers


def test_the_funnel_knows_silent_runs_and_asks_drawn_ones(store: Store) -> None:
    """Ten runs at 0.5: 6 drawn, of which 3 call; of the 4 others nothing more is known."""
    for number in range(10):
        run = run_id(0.5, drawn=number < 6)
        events = [START, *(call(sample_rate=0.5) if number < 3 else [])]
        put(store, events, run=run, rate=0.5)
    put(store, [{"event": "config_incomplete", "missing": "llm_key"}])
    began = row(store, "funnel", step="a call began")
    assert (began["estimate"], began["runs"], began["installs"]) == (0.5, 6, 6)
    blocked = row(store, "funnel", step="blocked: llm_key")
    assert (blocked["estimate"], blocked["runs"]) == (pytest.approx(1 / 11), 11)
    assert row(store, "funnel", step="started")["estimate"] == pytest.approx(10 / 11)


def test_the_funnel_ends_calls_as_they_end(store: Store) -> None:
    put(store, [START, *call(), *call()])
    put(store, [START, *failed_call(), *call()[:1]])  # one failed, one never ended
    put(store, [START, {"event": "call_completed", "outcome": "no_answer"}])  # never began
    steps = {one["cell"]["step"]: one["estimate"] for one in rows(store, "funnel")}
    assert steps["a call began"] == pytest.approx(2 / 3)
    assert steps["a call did not connect"] == pytest.approx(1 / 3)
    assert steps["of those with a call: one completed"] == 0.5
    assert steps["of those with a call: one failed"] == 0.5
    assert steps["of those with a call: one never ended"] == 0.5


def test_runs_of_a_lower_rate_stand_for_more_runs(store: Store) -> None:
    """Four drawn at 0.5 stand for eight and call; four at 1 do not: half would be wrong."""
    for _ in range(4):
        put(store, [START, *call(sample_rate=0.5)], rate=0.5)
        put(store, [START], rate=1.0)
    assert row(store, "funnel", step="a call began")["estimate"] == pytest.approx(8 / 12)


def test_installs_affected_are_counted_once_each(store: Store) -> None:
    for _ in range(3):
        install = hex_id()
        for _ in range(2):
            put(store, [START, *failed_call(carrier="twilio") * 2], install=install)
    put(store, [{"event": "config_incomplete", "missing": "engine_config"}])
    found = row(store, "affected", error_code="timeout", carrier="twilio", error_layer="llm")
    assert (found["estimate"], found["lower"], found["upper"]) == (3, 3, 3)
    assert (found["events"], found["runs"], found["installs"]) == (12, 6, 3)
    assert row(store, "affected", missing="engine_config")["estimate"] == 1
    assert [one["installs"] for one in rows(store, "affected")] == [3, 1]


def test_after_a_block_installs_start_at_once_later_or_never(store: Store) -> None:
    block = [{"event": "config_incomplete", "missing": "carrier_credentials"}]
    for later in (0, 2, 30):  # days until the start
        install = hex_id()
        put(store, block, install=install, days_ago=40)
        put(store, [START], install=install, days_ago=40 - later)
    again = hex_id()
    for days in (40, 20):
        put(store, block, install=again, days_ago=days)
    put(store, block, days_ago=40)
    before = hex_id()  # started once, then was blocked, and never came back
    put(store, [START], install=before, days_ago=41)
    put(store, block, install=before, days_ago=40)
    found = {one["cell"]["then"]: one["estimate"] * 6 for one in rows(store, "after_block")}
    assert found == pytest.approx(
        {
            "started within an hour": 1,
            "started within a day": 0,
            "started within a week": 1,
            "started later": 1,
            "came back, never started": 1,
            "never came back": 2,
        }
    )


def test_a_worse_release_is_called_worse_also_over_the_installs_seen_on_both(store: Store) -> None:
    batches = []
    for number in range(60):
        install = install_id(number)
        for release, bad in (("0.9.0", 1), ("0.10.0", 4)):
            events = [START, *failed_call() * bad, *call(latency_ms=500) * (10 - bad)]
            batches.append(batch_of(events, install=install, sdk_version=release, days_ago=10))
    store.append(batches)
    found = {one["cell"]["measure"]: one for one in rows(store, "releases")}
    failed = found["calls that failed"]
    assert (failed["cell"]["release"], failed["cell"]["against"]) == ("0.10.0", "0.9.0")
    assert failed["estimate"] == pytest.approx(0.3)
    assert failed["cell"]["verdict"] == "worse"
    assert found["calls that failed, installs seen on both"]["cell"]["verdict"] == "worse"
    assert found["blocked"]["cell"]["verdict"] == "not worse"
    assert found["calls slower than 800 ms: answer"]["estimate"] == 0
    better = rows(store, "releases", release="0.9.0", against="0.10.0")
    assert {one["cell"]["measure"]: one["cell"]["verdict"] for one in better}[
        "calls that failed"
    ] == "better"


def test_few_installs_are_no_verdict(store: Store) -> None:
    for release, bad in (("1.0", 0), ("1.1", 10)):
        for _ in range(3):
            events = [START, *failed_call() * bad, *call() * (10 - bad)]
            put(store, events, sdk_version=release, days_ago=10)
    found = row(store, "releases", measure="calls that failed")
    assert found["cell"]["verdict"] == "cannot tell yet: too few installs"
    assert found["estimate"] == 1
    assert found["few"]


def test_a_quantile_is_shown_from_fifty_installs_on(store: Store) -> None:
    calls = [call(latency_ms=300 + 20 * number) for number in range(49)]
    store.append([batch_of(one, install=install_id(n)) for n, one in enumerate(calls)])
    assert row(store, "latency", measure="p95 within a call")["estimate"] is None
    share = row(store, "latency", measure="share above 800 ms")
    assert (share["estimate"], share["few"]) == (pytest.approx(23 / 49), True)
    put(store, call(latency_ms=300 + 20 * 49), install=install_id(49))
    found = row(store, "latency", measure="p95 within a call")
    assert (found["estimate"], found["few"]) == (300 + 20 * 47, False)
    assert found["lower"] < found["estimate"] < found["upper"]
    assert row(store, "latency", measure="median", stage="answer")["estimate"] == 780
    assert row(store, "latency_ms", latency_ms="p95")["estimate"] == 300 + 20 * 47


def test_latency_by_model_is_that_of_runs_with_one_model(store: Store) -> None:
    for models in (["openai-gpt-4o"], ["openai-other"], ["openai-gpt-4o", "openai-other"]):
        stacks = [{"event": "feature_used", "llm_model": model} for model in models]
        slow = "openai-other" in models
        put(store, [*stacks, *call(llm_ttft_ms=900 if slow else 100)])
    found = {one["cell"]["model"]: one for one in rows(store, "latency", by="model")}
    assert {name: one["estimate"] for name, one in found.items()} == {
        "openai-gpt-4o": 0,
        "openai-other": 1,
    }
    assert found["openai-other"]["cell"]["stage"] == "llm"
    assert [one["installs"] for one in found.values()] == [1, 1]


def test_a_cost_comes_back_in_dollars(store: Store) -> None:
    store.append([batch_of(call(cost_usd=0.0123), install=install_id(n)) for n in range(50)])
    found = row(store, "cost_usd", cost_usd="p50")
    assert (found["estimate"], found["cell"]["unit"]) == (0.0123, "US dollars")


def test_calls_are_scaled_by_the_frame(store: Store) -> None:
    """8 runs at 0.5, 5 of them drawn, with 2 calls each; one fails in a run that was not drawn."""
    for number in range(8):
        drawn = number < 5
        events = call(sample_rate=0.5) * 2 if drawn else failed_call()[1:] if number == 5 else []
        put(store, [START, *events], run=run_id(0.5, drawn=drawn), rate=0.5)
    put(store, [START, *call() * 7])
    found = row(store, "volume", what="calls ended")
    assert found["estimate"] == pytest.approx(8 / 5 * 10 + 1 + 7)
    assert (found["events"], found["runs"], found["installs"]) == (18, 7, 7)
    assert row(store, "volume", what="calls begun")["estimate"] == pytest.approx(8 / 5 * 10 + 7)
    assert row(store, "volume", what="runs")["estimate"] == 9


def test_losses_are_bounds_and_odd_runs_are_counted(store: Store) -> None:
    lost = {("call_completed", "queue_full"): 10, ("call_completed", "sampled_out"): 99}
    put(store, [START, *call() * 9, *failed_call()], losses=lost)
    put(store, call(sample_rate=0.2), run=run_id(0.2, drawn=False), rate=0.2)
    put(store, [{"event": "cli_command"}], rate=None, sdk_version="0")
    bound = row(store, "quality", fact="calls that failed, if all 10 lost calls had failed")
    assert bound["estimate"] == pytest.approx(11 / (10 + 5 + 10))
    odd = {one["cell"]["fact"]: one["estimate"] for one in rows(store, "quality")}
    assert odd["runs not drawn, with sampled events"] == 1
    assert odd["runs of legacy clients: rate not known"] == 1
    assert odd["runs with calls and no start"] == 1
    assert odd["runs of an unknown version"] == 1
    assert odd["share of the largest install in all runs"] == pytest.approx(1 / 3)
    assert row(store, "quality", fact="lost", why="queue_full")["estimate"] == 10


def test_refusals_are_counted_by_pointer_and_rule(store: Store) -> None:
    store.append([], {(200, 8, "cli_command", "/os", "enum", None): 7})
    assert row(store, "quality", fact="refused", what="/os", why="enum")["estimate"] == 7


def test_endings_are_shares_of_the_calls_that_state_one(store: Store) -> None:
    put(store, [*call(disconnect_reason="hangup_remote") * 3, *call(disconnect_reason="timeout")])
    put(store, call() * 5)
    found = {one["cell"]["disconnect_reason"]: one["estimate"] for one in rows(store, "endings")}
    assert found == {"hangup_remote": 0.75, "timeout": 0.25}


def test_the_first_call_is_that_of_installs_that_are_never_sampled(store: Store) -> None:
    first = {"event": "first_run"}
    for buckets in (["lt_1h"], ["1d_7d", "1h_1d"], []):
        install = hex_id()
        put(store, [first, START], install=install)
        for bucket in buckets:
            put(store, call(time_to_first_call_bucket=bucket), install=install)
    sampled = hex_id()
    put(store, [first, START, *call(time_to_first_call_bucket="lt_1h")], install=sampled)
    put(store, [START], install=sampled, rate=0.5)
    put(store, [START, *call(time_to_first_call_bucket="gt_7d")])  # its first run was not seen
    found = {one["cell"]["first call"]: one for one in rows(store, "first_call")}
    said = {name: one["estimate"] for name, one in found.items() if one["estimate"]}
    assert said == pytest.approx(
        {"within an hour": 1 / 3, "within a day": 1 / 3, "none yet": 1 / 3}
    )
    assert {one["installs"] for one in found.values()} == {3}


def test_a_restored_store_gives_the_same_answers(filled: Store, tmp_path: Path) -> None:
    operate.backup(filled, str(tmp_path / "backup"), lambda _: None)
    operate.restore(str(tmp_path / "backup"), str(tmp_path / "restored"))
    restored = Store(str(tmp_path / "restored"))
    try:
        for name in all_answers():
            assert rows(restored, name) == rows(filled, name), name
    finally:
        restored.close()


def test_installs_come_back(store: Store) -> None:
    for last in (None, 6, 8, 30):
        install = hex_id()
        put(store, [START], install=install, days_ago=50)
        if last:
            put(store, [START], install=install, days_ago=50 - last)
    found = {one["cell"]["ran again after"]: one["estimate"] for one in rows(store, "retention")}
    assert found == {"7 days": 0.5, "28 days": 0.25}


def test_shares_of_installs_count_an_install_once(store: Store) -> None:
    shape = {"event": "agent_configured", "turn_detection": "custom"}
    install = hex_id()
    for _ in range(3):
        put(store, [shape], install=install)
    put(store, [shape | {"turn_detection": "default"}])
    found = {one["cell"]["turn_detection"]: one for one in rows(store, "turn_detection")}
    assert found["custom"]["estimate"] == found["default"]["estimate"] == 0.5
    assert (found["custom"]["events"], found["custom"]["runs"]) == (3, 3)
    assert found["custom"]["installs"] == 2
