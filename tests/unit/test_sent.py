"""What is known of where an install ID was sent, and what of it is retained for an erasure."""

import json
import stat
from pathlib import Path

import pytest

from getpatter.telemetry import _clock, opt_out, sent
from getpatter.telemetry.places import Places
from getpatter.telemetry.state import State

A, B, MEMORY = "a" * 32, "b" * 32, "m" * 32
HERE, THERE = "https://here/v1/ingest", "https://there/v1/ingest"
DAY = 86_400


@pytest.fixture
def environ(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    return {"HOME": str(home), "XDG_STATE_HOME": str(tmp_path / "xdg")}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "xdg" / "getpatter"
    directory.mkdir(mode=0o700, parents=True)
    return directory


def line(endpoint: str | None, *ids: str, **more: object) -> str:
    body = json.dumps([{"install_id": one} for one in ids], separators=(",", ":"))
    return json.dumps({"at": 1.0, "endpoint": endpoint, "body": body, **more}) + "\n"


def test_an_id_that_was_sent_is_retained_apart_for_30_days(
    environ: dict[str, str], place: Path
) -> None:
    kept = place / "retained-id"
    assert State(Places.of(environ), MEMORY).install_id(A) == A
    assert opt_out.ids_sent(environ) == {}
    (place / "ledger").write_text(line(HERE, A))
    opt_out.set_opt_out(environ, disabled=True)
    assert opt_out.ids_sent(environ) == opt_out.retained(environ) == {A: [HERE]}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert State(Places.of(environ), MEMORY, writable=False).known_id() is None
    opt_out.set_opt_out(environ, disabled=True)
    assert opt_out.retained(environ) == {A: [HERE]}, "again is no other"
    opt_out.set_opt_out(environ, disabled=False)
    assert State(Places.of(environ), MEMORY).install_id(B) == B
    (place / "ledger").write_text(line(HERE, B) + line(THERE, B))
    opt_out.set_opt_out(environ, disabled=True)
    assert opt_out.retained(environ) == {B: [HERE, THERE], A: [HERE]}
    kept.write_text(f"{_clock.wall() - 29 * DAY:.0f} {A}")
    assert opt_out.retained(environ) == {A: [sent.ANYWHERE]}
    kept.write_text(f"{_clock.wall() - 30 * DAY - 1:.0f} {A}")
    assert opt_out.retained(environ) == {}
    assert not kept.exists()


def test_what_has_been_erased_is_retained_no_longer(environ: dict[str, str], place: Path) -> None:
    sent.retain(str(place), {A: [HERE, THERE], B: [HERE]})
    opt_out.settle(environ, [A], [HERE])
    assert opt_out.retained(environ) == {A: [THERE], B: [HERE]}
    opt_out.settle(environ, [A, B], [HERE, THERE])
    assert opt_out.retained(environ) == {}
    assert not (place / "retained-id").exists()
    opt_out.settle(environ, [A], [HERE])


@pytest.mark.parametrize("content", ["", A, f"x {A}", f"9999999999 {A}", "1 2 3", f"-5 {A}"])
def test_what_is_damaged_is_not_retained(
    environ: dict[str, str], place: Path, content: str
) -> None:
    (place / "retained-id").write_text(content)
    assert opt_out.retained(environ) == {}


def test_what_is_retained_has_a_bound(place: Path) -> None:
    """What does not fit is not forgotten: then any collector may be asked."""
    ids = [f"{number:032x}" for number in range(9)]
    many = [f"https://{number}.example/v1/ingest" for number in range(99)]
    sent.retain(str(place), {ids[0]: many, ids[1]: ["https://x/" + "y" * 2_000], ids[2]: [HERE]})
    found = sent.retained(str(place))
    assert found[ids[0]] == [*many[-8:], sent.ANYWHERE]
    assert (found[ids[1]], found[ids[2]]) == ([sent.ANYWHERE], [HERE])
    sent.retain(str(place), {one: [HERE] for one in ids[3:]})
    assert list(sent.retained(str(place))) == ids[3:8]


def test_a_line_that_sent_nothing_says_nothing() -> None:
    lines = [line(None, A), line(HERE), "torn", "[]", "1", '{"endpoint":1}', '{"endpoint":"x"}']
    assert sent.noted(one.encode() for one in lines) == {}
    assert sent.condensed(one.encode() for one in lines) == b""


@pytest.mark.parametrize("kind", ["unreadable", "an earlier version's"])
def test_where_an_id_was_sent_may_be_unknown(
    environ: dict[str, str], place: Path, kind: str
) -> None:
    (place / "install-id").write_text(A)
    if kind == "unreadable":
        (place / "install-date").write_text("1700000000")
        (place / "ledger").mkdir()
    assert opt_out.ids_sent(environ) == {A: [sent.ANYWHERE]}
