"""The identity functions that the host library calls, and their buckets at the bounds."""

import re
from pathlib import Path

import pytest
from conftest import Run

from getpatter.telemetry import install_id, state
from getpatter.telemetry.events import DIMENSION_VALUES

DAY = 86_400


@pytest.mark.parametrize(
    ("age", "bucket"),
    [
        (None, None),
        (0, "0"),
        (DAY - 0.001, "0"),
        (DAY, "1_7"),
        (8 * DAY - 0.001, "1_7"),
        (8 * DAY, "8_30"),
        (31 * DAY - 0.001, "8_30"),
        (31 * DAY, "30_plus"),
        (10_000 * DAY, "30_plus"),
    ],
)
def test_days_since_install(age: float | None, bucket: str | None) -> None:
    assert install_id.days_bucket(age) == bucket
    assert bucket is None or bucket in DIMENSION_VALUES["days_since_install_bucket"]


@pytest.mark.parametrize(
    ("age", "bucket"),
    [
        (None, "unknown"),
        (0, "lt_1h"),
        (3_599.999, "lt_1h"),
        (3_600, "1h_1d"),
        (86_399.999, "1h_1d"),
        (86_400, "1d_7d"),
        (604_799.999, "1d_7d"),
        (604_800, "gt_7d"),
        (1e12, "gt_7d"),
    ],
)
def test_install_age_at_call_time(age: float | None, bucket: str) -> None:
    assert install_id.age_bucket(age) == bucket
    assert bucket in DIMENSION_VALUES["time_to_first_call_bucket"]


def test_ids_are_32_random_hex_digits() -> None:
    ids = {install_id.new_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)


def test_run_id_stays_the_same() -> None:
    assert install_id.run_id() == install_id.run_id()
    assert re.fullmatch("[0-9a-f]{32}", install_id.run_id())


def test_functions_answer_for_the_process(run: Run) -> None:
    code = """
from getpatter.telemetry import install_id as i
print(i.install_id() == i.install_id(), len(i.install_id()))
print(i.is_first_run(), i.is_first_run())
print(repr(i.previous_version("0.8.0")), i.previous_version("0.9.0"), i.previous_version("0.9.0"))
print(i.days_since_install_bucket(), 0 <= i.install_age_seconds() < 60)
print(i.is_opted_out()); i.set_opt_out(True); print(i.is_opted_out())
i.set_opt_out(False); print(i.is_opted_out())
"""
    result = run(code)
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "True 32",
        "True False",
        "'' 0.8.0 0.9.0",
        "0 True",
        "False",
        "True",
        "False",
    ]


def test_age_is_that_of_the_old_file_where_there_is_no_other(run: Run, home: Path) -> None:
    old = home / ".getpatter" / "install-id"
    old.parent.mkdir()
    old.write_text("a" * 32)
    code = f"""
import os
from getpatter.telemetry import install_id as i, _clock
then = _clock.wall() - 9.5 * {DAY}
os.utime({str(old)!r}, (then, then))
print(i.install_id(), round(i.install_age_seconds() / {DAY}, 2), i.days_since_install_bucket())
"""
    assert run(code).stdout == f"{'a' * 32} 9.5 8_30\n"


def test_install_id_without_consent_is_none_that_is_stored(run: Run, home: Path) -> None:
    code = "from getpatter.telemetry import install_id as i; print(i.install_id(), i.run_id())"
    stored = run(code).stdout.split()[0]
    assert stored == next(home.rglob("install-id")).read_text()
    for variables in ({"PATTER_TELEMETRY_DEBUG": "1"}, {"DO_NOT_TRACK": "1"}):
        assert run(code, **variables).stdout.split()[0] == stored
    for path in home.rglob("install-id"):
        path.unlink()
    first = run(code, DO_NOT_TRACK="1").stdout
    assert run(code, DO_NOT_TRACK="1").stdout != first
    assert not list(home.rglob("install-id"))


def test_open_state_is_read_only_without_consent(tmp_path: Path) -> None:
    """This is a test run."""
    environ = {"PATTER_TELEMETRY_STATE_DIR": str(tmp_path / "named")}
    assert install_id.open_state({**environ, "CI": "1"}).files.writable is False
    assert not (tmp_path / "named").exists()
    opened = install_id.open_state(environ, writable=True)
    assert isinstance(opened, state.State)
    assert (tmp_path / "named").is_dir()
