"""`collector ask` and `check`, and `/answers`: the same figures everywhere, in any width."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector_process import Collector, Start, event, hex_id
from collector_story import START, batch_of, call, failed_call, install_id, put

from getpatter.cli import main
from getpatter.collector import erasure
from getpatter.collector.answering import Answering
from getpatter.collector.store import Store

pytest_plugins = ("collector_fixtures",)

Run = Callable[..., tuple[int, str, str]]
KEYS = ("estimate", "lower", "upper", "events", "runs", "installs", "few")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in this process: its exit code, and what it said on stdout and stderr."""
    monkeypatch.setenv("HOME", "/dev/null")
    mask = os.umask(0o022)

    def run_command(*arguments: str, columns: int = 100) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            code = main(["collector", *arguments])
        except SystemExit as ended:  # argparse ends a wrong command line by itself
            code = ended.code if isinstance(ended.code, int) else -1
        return code, *capsys.readouterr()

    yield run_command
    os.umask(mask)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with three releases: 1.1 is worse than 1.0, and 1.2 is as good."""
    directory = str(tmp_path_factory.mktemp("asked") / "data")
    store = Store(directory)
    batches = []
    for number in range(100):
        for release, bad in (("1.0", 1), ("1.1", 12), ("1.2", 1), ("1.3", number % 8)):
            good = [*call(latency_ms=400, disconnect_reason="completed")[1:] * (40 - bad)]
            events = [START, *failed_call(disconnect_reason="error")[1:] * bad, *good]
            events += [{"event": "call_started"}] * 40
            install = install_id(number % 64)
            batches.append(batch_of(events, install=install, sdk_version=release, days_ago=10))
    store.append(batches)
    store.close()
    return directory


def test_without_a_question_the_questions_are_listed(run: Run) -> None:
    code, said, _ = run("ask")
    assert code == 0
    assert "funnel" in said
    assert "How far do runs come" in said
    listed = json.loads(run("ask", "--json")[1])
    assert [one["name"] for one in listed][:7] == [
        "funnel",
        "affected",
        "after_block",
        "releases",
        "quality",
        "latency",
        "endings",
    ]
    assert all(one["question"] and one["definition"] for one in listed)


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("question", ["funnel", "releases", "quality", "affected", "engine"])
def test_an_answer_fits_the_terminal(run: Run, data: str, question: str, columns: int) -> None:
    code, said, _ = run("ask", question, "--data", data, columns=columns)
    assert code == 0
    assert said.isascii()
    # A single word may be longer than a terminal of 20 columns.
    assert all(len(line) <= columns or " " not in line.strip() for line in said.splitlines())
    listed = run("ask", columns=columns)[1]
    assert all(len(line) <= columns or " " not in line.strip() for line in listed.splitlines())


def test_a_figure_is_shown_with_its_interval_and_what_it_rests_on(run: Run, data: str) -> None:
    _, said, _ = run("ask", "funnel", "--release", "1.0", "--data", data)
    line = next(line for line in said.splitlines() if line.startswith("a call began"))
    assert " ".join(line.split()) == "a call began 100.0 % [97.0, 100.0] 100 100 100"
    assert "provisional" in said


def test_many_rows_are_cut_on_a_terminal_and_whole_in_csv(run: Run, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    store.append([batch_of(failed_call(), sdk_version=f"1.{number}") for number in range(45)])
    store.close()
    _, said, _ = run("ask", "affected", "--data", str(tmp_path / "data"))
    assert "and 5 more rows" in said
    _, table, _ = run("ask", "affected", "--csv", "--data", str(tmp_path / "data"))
    assert len(table.splitlines()) == 46


def test_csv_and_json_say_the_same(run: Run, data: str) -> None:
    _, text, _ = run("ask", "endings", "--by", "release", "--json", "--data", data)
    found = json.loads(text)
    assert list(found) == ["definition", "sql", "filters", "provisional_from", "rows"]
    _, table, _ = run("ask", "endings", "--by", "release", "--csv", "--data", data)
    lines = list(csv.DictReader(io.StringIO(table)))
    assert list(lines[0]) == ["release", "disconnect_reason", "unit", *KEYS]
    for line, one in zip(lines, found["rows"], strict=True):
        assert {name: line[name] for name in one["cell"]} == one["cell"]
        assert [float(line[name]) for name in KEYS[:-1]] == [one[name] for name in KEYS[:-1]]
        assert line["few"] == ("true" if one["few"] else "false")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ask", "funel"), "did you mean funnel?"),
        (("ask", "funnel", "--direction", "inbound"), "this answer has no filter direction"),
        (("ask", "funnel", "--os", "beos"), "os cannot be 'beos'"),
        (("ask", "releases", "--release", "7.7"), "no events of release 7.7"),
        (("ask", "funnel", "--json", "--csv"), "not allowed with"),
        (("ask", "funnel", "--colour", "red"), "unrecognized arguments"),
        (("check", "--release", "1.0"), "required: --against"),
        (("check", "--release", "1.0", "--against", "7.7"), "no events of release 7.7"),
        (("check", "--release", "1.0", "--against", "1.0"), "with itself"),
        (("check", "--release", "1.0", "--against", "!"), "against must be a version"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_2(
    run: Run, data: str, arguments: tuple[str, ...], said: str
) -> None:
    code, out, error = run(*arguments, "--data", data)
    assert (code, out) == (2, "")
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_check_without_a_store_cannot_tell(run: Run) -> None:
    code, _, said = run("check", "--release", "1", "--against", "2", "--data", "/no/such/place")
    assert code == 2
    assert said == "getpatter collector: there is no store in /no/such/place\n"


def test_a_check_of_a_store_that_cannot_be_read_cannot_tell(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hot.duckdb").write_bytes(b"nothing of ours" * 1000)
    code, _, said = run("check", "--release", "1", "--against", "2", "--data", str(tmp_path))
    assert code == 2
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("release", "against", "word"),
    [
        ("1.1", "1.0", "worse"),
        ("1.0", "1.1", "not worse"),
        ("1.2", "1.0", "not worse"),
        ("1.3", "1.2", "worse"),
    ],
)
def test_a_release_is_worse_or_not(
    run: Run, data: str, release: str, against: str, word: str
) -> None:
    code = {"worse": 1, "not worse": 0}[word]
    arguments = ("check", "--release", release, "--against", against, "--data", data)
    ended, said, _ = run(*arguments)
    assert (ended, said.splitlines()[-1]) == (code, word)
    ended, text, _ = run(*arguments, "--json")
    found = json.loads(text)
    assert (ended, found["verdict"], found["code"]) == (code, word, code)
    failed = next(one for one in found["measures"] if one["measure"] == "calls that failed")
    assert failed["difference"] == pytest.approx(failed["release"] - failed["against"])
    assert failed["lower"] <= failed["difference"] <= failed["upper"]


def test_a_check_that_cannot_tell_says_how_many_more_it_takes(run: Run, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    batches = []
    for number in range(60):
        for release in ("1.0", "1.1"):
            bad = [failed_call()[1]] if number % 6 == 0 else []
            events = [START, *bad, *call()[1:] * 5, *[{"event": "call_started"}] * 6]
            install = install_id((number + len(release)) % 64)
            batches.append(batch_of(events, install=install, sdk_version=release, days_ago=10))
    store.append(batches)
    store.close()
    arguments = ("--release", "1.1", "--against", "1.0", "--data", str(tmp_path / "data"))
    code, said, _ = run("check", *arguments)
    assert code == 2
    assert said.splitlines()[-1] == "cannot tell yet"
    assert "calls that failed: cannot tell yet: about " in said
    assert " more calls of each release" in said
    fewer = Store(str(tmp_path / "few"))
    for release in ("1.0", "1.1"):
        put(fewer, [START, *call()], sdk_version=release, days_ago=10)
    fewer.close()
    code, said, _ = run("check", *arguments[:4], "--data", str(tmp_path / "few"))
    assert code == 2
    assert "too few installs" in said


@pytest.fixture(scope="module")
def asked(shared: Collector) -> Collector:
    install = hex_id()
    runs = [event("sdk_initialized", install_id=install, sdk_version=v) for v in ("1.0", "1.1")]
    ends = [one | {"event": "call_completed", "outcome": "completed"} for one in runs]
    assert shared.post(runs + ends, key=hex_id(), Patter_Sample_Rate="1").status == 200
    return shared


def test_a_running_collector_answers_what_it_has_acknowledged(asked: Collector, run: Run) -> None:
    listed = asked.request("GET", "/answers.json", pages=True)
    assert listed.status == 200
    assert {"name", "question", "definition"} <= set(listed.json[0])
    given = asked.request("GET", "/answers/funnel.json?by=release&since=30d", pages=True)
    assert (given.status, given.headers["content-type"]) == (200, "application/json")
    arguments = ("ask", "funnel", "--by", "release", "--since", "30d", "--data", str(asked.data))
    code, text, _ = run(*arguments, "--json")
    assert code == 0
    assert json.loads(text) == given.json
    assert {one["cell"]["release"] for one in given.json["rows"]} == {"1.0", "1.1"}
    table = asked.request("GET", "/answers/funnel.csv?by=release&since=30d", pages=True)
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.body.decode() == run(*arguments, "--csv")[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/answers/funel.json", 404),
        ("/answers/funnel.xml", 404),
        ("/answers/funnel", 404),
        ("/answers/funnel.json?colour=red", 400),
        ("/answers/funnel.json?os=beos", 400),
        ("/answers/funnel.json?os=linux&os=darwin", 400),
        ("/answers/releases.json?release=9.9", 400),
        ("/answers/funnel.json?since=%27%20OR%201%3D1", 400),
    ],
)
def test_a_wrong_question_is_an_answer_with_a_body(
    asked: Collector, path: str, status: int
) -> None:
    found = asked.request("GET", path, pages=True)
    assert found.status == status
    assert found.json["error"]


def test_answers_are_for_operators_only(asked: Collector) -> None:
    assert asked.request("GET", "/answers.json").status == 404


def test_a_check_asks_the_running_collector(asked: Collector, run: Run) -> None:
    arguments = ("--release", "1.1", "--against", "1.0", "--until", "0d")
    code, said, _ = run("check", *arguments, "--data", str(asked.data))
    assert (code, said.splitlines()[-1]) == (2, "cannot tell yet")
    code, _, said = run("check", "--release", "9", "--against", "1.0", "--data", str(asked.data))
    assert code == 2
    assert "no events of release 9" in said


def test_a_long_answer_is_given_again_until_somebody_is_erased(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "data"))
    patient = Answering(store, long=0, again=1e9)
    put(store, [START], install=(gone := hex_id()))
    first = patient.ask("volume", {})
    put(store, [START])
    assert patient.ask("volume", {}) == first
    assert patient.ask("volume", {"os": "linux"})["rows"] != first["rows"]  # another question
    assert Answering(store, long=1e9).ask("volume", {})["rows"] != first["rows"]
    erasure.erase(store, gone)
    assert patient.ask("volume", {})["rows"][0]["estimate"] == 1
    store.close()


def test_every_answer_comes_from_an_empty_store(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    listed: list[dict[str, Any]] = collector.request("GET", "/answers.json", pages=True).json
    for one in listed:
        found = collector.request("GET", f"/answers/{one['name']}.json", pages=True)
        assert found.status == 200, one["name"]
        assert all(row["estimate"] in {0, None} for row in found.json["rows"])
