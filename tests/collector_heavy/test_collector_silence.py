"""Ingest, queries and upkeep under strace: the collector connects to nothing.

The short version takes ten seconds; `make collector-silence` ten minutes. Needs strace.
"""

import os
import re
import signal
import time
from pathlib import Path

from collector_process import Start, command, event, hex_id

pytest_plugins = ("collector_fixtures",)

SECONDS = float(os.environ.get("COLLECTOR_STRACE_SECONDS", "10"))
QUESTIONS = ("funnel", "affected", "after_block", "quality", "latency", "endings", "volume")
CALLS = "accept4,connect,sendto,sendmsg,sendmmsg,socket,openat"


def test_collector_connects_to_nothing(start: Start, tmp_path: Path) -> None:
    log, data = tmp_path / "calls", tmp_path / "data"
    collector = start(
        data, wrapper=("strace", "-f", "-qq", "-s", "16", "-e", f"trace={CALLS}", "-o", str(log))
    )
    until = time.monotonic() + SECONDS
    asked = sent = 0
    while time.monotonic() < until:
        batch = [
            event("sdk_initialized", run_id=(run := hex_id())),
            event("call_completed", run_id=run, outcome="completed", latency_ms=500),
            event("config_incomplete", missing="llm_key"),
        ]
        answer = collector.post(
            batch, hex_id(), Patter_Sample_Rate="1", Patter_Batch_Age=str(86_400 * (sent % 7))
        )
        assert answer.status == 200
        sent += 1
        name = QUESTIONS[asked % len(QUESTIONS)]
        assert collector.request("GET", f"/answers/{name}.json", pages=True).status == 200
        asked += 1
        if asked % 20 == 0:
            assert command("compact", "--data", str(data)).returncode == 0
            assert command("ask", "funnel", "--data", str(data)).returncode == 0
            target = str(tmp_path / f"backup{asked}")
            assert command("backup", target, "--data", str(data)).returncode == 0
        if asked % 50 == 0:
            collector.request("GET", "/metrics", pages=True)
            collector.request("DELETE", f"/v1/installs/{batch[0]['install_id']}")
    found = re.search(r'"pid": (\d+)', command("status", "--json", "--data", str(data)).stdout)
    assert found is not None
    os.kill(int(found[1]), signal.SIGTERM)
    collector.process.communicate(timeout=120)
    text = log.read_text(errors="replace")
    print(f"{sent:,} batches, {asked:,} questions, {text.count(chr(10)):,} system calls")
    assert text.count("accept4(") > sent, "it saw the requests"
    connected = [line for line in text.splitlines() if "connect(" in line]
    assert not [line for line in connected if "AF_UNIX" not in line], connected
    # Of names and certificates, which whoever wants to connect would look up, none was opened.
    for file in ("resolv.conf", "ca-certificates", "cacert.pem", ".duckdb_extension"):
        assert file not in text
