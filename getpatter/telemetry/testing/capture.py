"""`Capture`: what this process would have sent, for the tests of programs that use getpatter.

The pytest fixture `getpatter_telemetry` hands one out. It looks at the process as a user's on a
new machine: without what says CI or test run, with a state directory of its own, and a receiver in
place of the collector. Nothing of the developer's own state is read or changed.
"""

from __future__ import annotations

import os
import site
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from getpatter.telemetry import client, consent, env, events
from getpatter.telemetry._clock import monotonic, seconds
from getpatter.telemetry._schema_documents import documents
from getpatter.telemetry.delivery import sender, spool_files
from getpatter.telemetry.fields import demand_of, misplaced
from getpatter.telemetry.install_id import open_state
from getpatter.telemetry.places import Places

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from getpatter.telemetry.testing import Receiver

__all__ = ["Capture"]

# How often it is looked for what a process has left that ended meanwhile.
_LOOK_SECONDS = 0.2
# When a module of ours is loaded first, pytest rewrites it: seconds, on a busy machine.
_FLUSH_SECONDS = 30.0
# Losses that say that something invalid was recorded, or that we failed; the others have reasons
# outside the program.
_INVALID = ("bad_dimension", "unknown_event", "rejected", "too_large", "internal_error")


class Capture:
    """The events of one test: those of every client that it makes, and of its child processes.

    `receiver` is the collector that they report to, for scripting its answers.
    """

    def __init__(self, receiver: Receiver, directory: Path) -> None:
        self.receiver = receiver
        self._directory = directory
        self._environ = _UsersEnvironment(env.process_environment())
        self._pipelines: list[Any] = []
        self._cleared = 0
        self._whys: list[tuple[str, str]] = []  # event, why a dimension of it was dropped
        self._forgiven: dict[tuple[str, str], int] = {}
        self._forgiven_refusals = 0

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, in order; those that this process has recorded are all there.

        Those of child processes are there once they have arrived: see `wait_for`.
        """
        self._flush()
        return self.receiver.events[self._cleared :]

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a child process whose events are to be captured.

        As this process's, but without CI and test run, and with a home directory of its own.
        """
        home = str(self._directory / "home")
        own = {"HOME": home, "USERPROFILE": home, "LOCALAPPDATA": home}
        if site.ENABLE_USER_SITE:
            own["PYTHONUSERBASE"] = site.getuserbase()  # what is installed there is still found
        inherited = {name: self._environ[name] for name in self._environ}
        inherited.pop("XDG_STATE_HOME", None)
        return inherited | own

    @property
    def problems(self) -> list[str]:
        """What was wrong with what was recorded, in words: events refused, or their fields dropped.

        The fixture fails the test for any that is left at its end.
        """
        self._flush()
        refusals = self.receiver.refused[self._forgiven_refusals :]
        refused = [
            f"event {one.index} of a batch was refused: {one.rule} at {one.pointer or 'its top'}"
            for one in refusals
        ]
        lost = [
            said
            for (event, reason), times in self._invalid().items()
            if times > self._forgiven.get((event, reason), 0)
            for said in self._in_words(event, reason)
        ]
        return refused + lost

    def _in_words(self, event: str, reason: str) -> list[str]:
        """Return a line for each thing that was wrong; a child process says only the reason."""
        whys = [why for name, why in self._whys if name == event and reason == "bad_dimension"]
        lines = [f"{event}: {reason}: {why}" for why in dict.fromkeys(whys)]
        return lines or [f"{event}: {reason}"]

    def _note(self, name: object, dimensions: Mapping[str, object]) -> None:
        """Keep why dimensions of a record will be dropped: the losses only say how many."""
        if not isinstance(name, str) or name not in events.ALLOWED_DIMENSIONS:
            return
        for dimension in events.coerced(name, dimensions)[1]:
            every = documents()
            why = misplaced(dimension, name, every)
            # The rate is a field of the event, and the sampling decision's alone to set.
            if dimension in events.ALLOWED_DIMENSIONS[name] and dimension != "sample_rate":
                why = f"{dimension} {demand_of(every[name]['properties'][dimension])}"
            self._whys.append((name, why))

    def client(self, *, sdk_version: str = "0") -> client.TelemetryClient:
        """Return a client whose events are captured, as those of any other made in the test."""
        made = client.TelemetryClient(sdk_version=sdk_version)
        if not made.enabled:
            message = f"the client is off{self._why_off()}"
            raise AssertionError(message)
        return made

    def wait_for(self, count: int, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Return the events once there are `count`, also from other processes.

        What a process that has ended left on disk is sent from here. AssertionError after `timeout`
        seconds.
        """
        until = monotonic() + seconds(timeout)
        while True:
            self._flush()
            left = max(0.0, until - monotonic())
            self._send_what_is_left(left)
            try:
                events = self.receiver.wait_for(self._cleared + count, min(left, _LOOK_SECONDS))
            except AssertionError as error:
                if monotonic() < until:
                    continue
                _, _, arrived = str(error).partition(" s, ")
                message = f"{count} events expected within {timeout} s, {arrived}{self._why_off()}"
                raise AssertionError(message) from None
            return events[self._cleared :]

    def _send_what_is_left(self, seconds: float) -> None:
        """Deliver what processes that have ended could not: they wait for half a second at most."""
        directory = str(self._directory / "state")
        if spool_files.waiting(directory):
            sender.send_all(directory, env.process_environment(), seconds)

    def assert_events(self, *names: str, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Assert that the events are exactly these, in this order, and return them.

        Waits for as many as are named; without names there must be none.
        """
        try:
            events = self.wait_for(len(names), timeout)
        except AssertionError:
            events = self.events
        found = tuple(event["event"] for event in events)
        if found != names:
            said = [f"expected {list(names)}", f"captured {list(found)}{self._why_off()}"]
            message = "\n".join(said + self.problems)
            raise AssertionError(message)
        return events

    def clear(self) -> None:
        """Forget the events and problems so far."""
        self._flush()
        self._cleared = len(self.receiver.events)
        self._forgiven_refusals = len(self.receiver.refused)
        self._forgiven = self._invalid()
        self._whys.clear()

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        """Have the clients made from now on report here, until `patch` is undone."""
        directory = str(self._directory / "state")
        (self._directory / "home").mkdir(mode=0o700)
        for name in list(self._environ):
            # Also what the plugin has set; the test may set any of them anew.
            if name == "DO_NOT_TRACK" or name.startswith("PATTER_TELEMETRY"):
                patch.delenv(name)
        patch.setenv("PATTER_TELEMETRY_ENDPOINT", self.receiver.endpoint)
        # The receiver is on this machine, where a proxy of the developer does not lead.
        is_upper = "NO_PROXY" in self._environ and "no_proxy" not in self._environ
        patch.setenv("NO_PROXY" if is_upper else "no_proxy", "127.0.0.1", prepend=",")
        patch.setenv("PATTER_TELEMETRY_STATE_DIR", directory)

        def find_places(environ: Mapping[str, str]) -> Places:
            # No other: `disable` in a test must not store, nor `enable` remove, the developer's.
            named = environ.get("PATTER_TELEMETRY_STATE_DIR") or directory
            return Places(os.path.abspath(named), None, ())

        start = client._start  # noqa: SLF001 - our own: where a client that is on gets its worker

        def start_and_remember(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed through
            pipeline = start(*args, **kwargs)
            self._pipelines.append(pipeline)
            return pipeline

        patch.setattr(env, "process_environment", lambda: self._environ)
        patch.setattr(Places, "of", find_places)
        patch.setattr(client, "_start", start_and_remember)
        record = client.TelemetryClient.record

        def record_and_note(made: client.TelemetryClient, name: str, /, **given: object) -> None:
            self._note(name, given)
            record(made, name, **given)

        patch.setattr(client.TelemetryClient, "record", record_and_note)
        # The notice would come at any time, in the middle of what the test reads off stderr.
        open_state(writable=True).notice.remember()

    def end(self) -> None:
        """Stop the clients that were made: what they record from now on goes nowhere."""
        for pipeline in self._pipelines:
            pipeline.close(0.0)

    def _flush(self) -> None:
        for pipeline in self._pipelines:
            pipeline.flush(_FLUSH_SECONDS)

    def _invalid(self) -> dict[tuple[str, str], int]:
        """Return how often each event was invalid in each way: (event, reason) → how many."""
        counts: dict[tuple[str, str], int] = {}
        for pipeline in self._pipelines:
            for event, reasons in pipeline.stats()["lost"].items():
                for reason, times in reasons.items():
                    counts[event, reason] = counts.get((event, reason), 0) + times
        # Those of this process are among these, as far as they were reported.
        for loss, times in self.receiver.losses.items():
            counts[loss] = max(times, counts.get(loss, 0))
        return {loss: times for loss, times in counts.items() if loss[1] in _INVALID}

    def _why_off(self) -> str:
        environ = env.process_environment()
        settings = env.Settings.load(environ)
        rule = consent.decide(consent.judge(settings, None, Places.of(environ).opt_out()))
        return f"; telemetry is off: {rule.name} ({rule.why})" if rule.off else ""


class _UsersEnvironment(Mapping[str, str]):
    """An environment as it is now, without what says that this is CI or a test run."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value = self._environ[name]
        if _says_machine(name, value):
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in list(self._environ) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _says_machine(name: str, value: str) -> bool:
    alone = {name: value}
    return env.ci_variable(alone) is not None or env.test_variable(alone) is not None
