"""Schemathesis asks what the description promises: no 5xx but 503, only statuses that it names.

The short version sends a few hundred requests; `make collector-openapi` 20,000. It runs in an
environment of its own, since its plugin would load into every test run.
"""

import os
import re
import subprocess
from pathlib import Path

from collector_process import Collector, Start

pytest_plugins = ("collector_fixtures",)

PROGRAM = os.environ["COLLECTOR_SCHEMATHESIS"]
EXAMPLES = int(os.environ.get("COLLECTOR_EXAMPLES", "40"))  # of each operation, by process
PROCESSES = 4  # a commit waits for those that come meanwhile: four together take as long as one
CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "allow_header_conformance", "positive_data_acceptance"),
)


def requests(collector: Collector) -> int:
    text = collector.request("GET", "/metrics", pages=True).body.decode()
    found = re.findall(
        r"^patter_collector_requests_total\{[^}]*\} ([0-9.e+]+)$", text, re.MULTILINE
    )
    return int(sum(map(float, found)))


def test_collector_does_what_its_description_says(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    description = collector.endpoint.replace("v1/ingest", "openapi.json")
    running = [
        subprocess.Popen(
            [
                *(PROGRAM, "--no-color", "run", description, "--phases", "fuzzing"),
                *("-n", str(EXAMPLES), "--seed", str(seed), "--checks", ",".join(CHECKS)),
                *("--suppress-health-check", "all", "--continue-on-failure"),
                *("--warnings", "off"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        for seed in range(PROCESSES)
    ]
    said = [process.communicate()[0] for process in running]
    codes = [process.returncode for process in running]
    assert codes == [0] * PROCESSES, "\n".join(said)
    count = requests(collector)
    print(f"{count:,} requests")
    assert count > EXAMPLES * PROCESSES
    metrics = collector.request("GET", "/metrics", pages=True).body.decode()
    assert "patter_collector_internal_errors_total{" not in metrics
    assert collector.end() == (0, "")
