"""The golden vectors, which any client can run: ours agrees with every one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from getpatter.calls import leave
from getpatter.telemetry import (
    call_metrics,
    consent,
    env,
    environment,
    events,
    gate,
    install_id,
    stack,
)
from getpatter.telemetry.delivery import batch

VECTORS = Path(__file__).parents[2] / "schemas" / "vectors"


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text("ascii"))
    assert len(found) > 10
    assert [row for row in found if found.count(row) > 1] == []
    return found


def test_leave_reasons() -> None:
    found = rows("leave_reasons")
    for row in found:
        if row["leave_reason"] == "RetryExhausted":
            reason: object = leave.RetryExhausted(3, "SFU_ERROR")
        elif row["leave_reason"] == "Custom":
            reason = leave.Custom("a reason of the program's own")
        else:
            reason = getattr(leave, row["leave_reason"])(row["cause"])
        left = leave.leaving(reason)
        assert left is not None, row
        assert left.reason == row["leave_reason"]
        assert left.cause == row["cause"]
        assert left.abort_code.value == row["abort_code"], row
        assert left.disconnect_reason == row["disconnect_reason"], row
    causes = {row["cause"] for row in found} - {None}
    kinds = (leave.UserCause, leave.BackendCause, leave.SdkCause)
    assert causes == {cause.value for kind in kinds for cause in kind}


def test_sampling() -> None:
    for row in rows("sampling"):
        assert gate.ratio(row["run_id"]) == row["ratio"]
        kept = gate.Gate(row["run_id"], row["rate"]).decide("call_started", {}) is not None
        assert kept is row["kept"], row


def test_what_is_sampled_at_all() -> None:
    for row in rows("sampled_events"):
        dimensions = dict(row["event"])
        assert gate.is_sampleable(dimensions.pop("event"), dimensions) is row["sampled"], row


def test_sample_rates() -> None:
    for row in rows("sample_rates"):
        assert env.parse_sample_rate(row["value"])[0] == row["rate"], row


def test_ages() -> None:
    for row in rows("ages"):
        age = row["seconds"]
        assert install_id.age_bucket(age) == row["time_to_first_call_bucket"], row
        assert install_id.days_bucket(age) == row["days_since_install_bucket"], row


def test_counts() -> None:
    for row in rows("counts"):
        assert call_metrics.count_bucket(row["count"]) == row["custom_tool_count_bucket"], row
        assert call_metrics.count_bucket(row["count"]) == row["turn_count_bucket"], row
        assert call_metrics.server_bucket(row["count"]) == row["mcp_server_count_bucket"], row


def test_endings() -> None:
    given = ("connected", "error_code", "error_stage", "hung_up", "unanswered")
    for row in rows("endings"):
        found = call_metrics.ending(**{name: row[name] for name in given})
        assert found.dimensions() == {name: row[name] for name in found.dimensions()}, row


class Recorder:
    """Keeps what was recorded last."""

    dimensions: dict[str, object]

    def record(self, _name: str, /, **dimensions: object) -> None:
        self.dimensions = dimensions


def test_error_layers_of_the_metrics() -> None:
    for row in rows("metrics_error_layers"):
        recorder = Recorder()
        metrics = SimpleNamespace(error_code=row["error_code"])
        call_metrics.record_call_completed(recorder, outcome="completed", metrics=metrics)
        assert recorder.dimensions["outcome"] == "error"
        assert {name: recorder.dimensions[name] for name in row} == row


def test_model_tokens() -> None:
    for row in rows("model_tokens"):
        assert stack.model_token(row["vendor"], row["model"]) == row["token"], row


@pytest.mark.parametrize("row", rows("consent"), ids=json.dumps)
def test_consent(row: dict[str, Any]) -> None:
    settings = env.Settings(row["environ"], row["dotenv"])
    decided = consent.decide(
        consent.judge(settings, row["flag"], "stored" if row["marker"] else None)
    )
    assert (not decided.off, decided.name) == (row["on"], row["rule"])


def test_deploy_shapes() -> None:
    for row in rows("deploy_shapes"):
        environ = dict.fromkeys(row["present"], "")
        found = environment.deploy_shape(environ)
        assert {name: found[name] for name in row if name != "present"} == {
            name: value for name, value in row.items() if name != "present"
        }, row


def test_systems() -> None:
    named = {"os": events.os_of, "arch": events.arch_of}
    for row in rows("systems"):
        assert named[row["field"]](row["called"]) == row["value"], row


def test_provider_modes() -> None:
    for row in rows("provider_modes"):
        layers = [row[layer] for layer in ("llm", "stt", "tts")]
        found = call_metrics.engine_of(row["mode"], layers)
        assert found == {"engine": row["engine"], "provider": row["provider"]}, row


def test_batch_keys() -> None:
    for row in rows("batch_keys"):
        assert batch.part_key(row["key"], row["part"]) == row["part_key"], row
