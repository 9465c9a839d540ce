"""`observe(session, phone)`: one line that makes a call of a LiveKit agent session."""

from __future__ import annotations

import asyncio
import logging
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from getpatter.integrations.figures import measured
from getpatter.integrations.frameworks import LIVEKIT
from getpatter.integrations.guarded import guarded
from getpatter.integrations.livekit import rtc_stats
from getpatter.integrations.livekit.conversation import AgentConversation
from getpatter.integrations.livekit.listener import SessionListener
from getpatter.integrations.livekit.mapping import CALLERS, JOB_CRASHED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Literal

    from getpatter.call import Call
    from getpatter.patter import Patter

__all__ = ["observe"]

_log = logging.getLogger("getpatter.integrations.livekit")
# The name that LiveKit gives to the task of an entrypoint.
_ENTRYPOINT = "job_user_entrypoint"
# An attribute that a participant of a telephone call has.
_CALL = "sip.callID"
# A job process ends without exit hooks; LiveKit allows its shutdown ten seconds.
_DELIVERY_SECONDS = 2.0

# The call of each session that is observed.
_calls: weakref.WeakKeyDictionary[object, Call] = weakref.WeakKeyDictionary()
_noted: set[str] = set()


def observe(
    session: Any,
    phone: Patter,
    *,
    room: Any = None,
    direction: Literal["inbound", "outbound"] | None = None,
    carrier: str | None = None,
    stats_interval: float | None = None,
) -> Call:
    """Return the call of an `AgentSession`, which begins now and ends by itself.

    ``observe(session, phone)`` in the entrypoint, before the session starts. `room` is that of the
    job unless given. Without a `direction`, a SIP participant in the room shows it, or else the
    call is inbound. With a `stats_interval`, the WebRTC statistics of the agent's tracks are polled
    every so many seconds, for diagnostics. Observing a session again returns the same call until it
    has ended. Raises ModuleNotFoundError, before a call begins, if LiveKit Agents is not installed.
    """
    try:
        from livekit.agents import __version__
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(LIVEKIT.how, name=error.name) from None
    guarded(_note, __version__)
    known = _calls.get(session)
    if known is not None and not known.reporter.has_ended:
        return known
    job = _job()
    room = getattr(job, "room", None) if room is None else room
    said = direction or _direction(room)
    call = phone.call(direction=said, carrier=carrier)
    _calls[session] = call
    listener = SessionListener(
        AgentConversation(call),
        call,
        weakref.ref(session),
        room,
        _entrypoint(),
        is_outbound=said == "outbound",
    )
    guarded(listener.attach)
    interval = measured(stats_interval)
    if interval is not None and room is not None:
        guarded(rtc_stats.begin, call, room, interval)
    if job is not None:
        guarded(job.add_shutdown_callback, _at_shutdown(phone, listener))
    return call


def _note(version: str) -> None:
    """Say once that a version is not one that we know."""
    if not LIVEKIT.is_tested(version) and version not in _noted:
        _noted.add(version)
        _log.warning(
            "getpatter: LiveKit Agents %s is not tested, only %s", version, LIVEKIT.versions
        )


def _job() -> Any:
    with suppress(Exception):  # it raises outside of a job
        from livekit.agents import get_job_context

        return get_job_context()
    return None


def _entrypoint() -> asyncio.Task[Any] | None:
    """Return the task of the job's entrypoint, None if it has ended or there is no job."""
    with suppress(RuntimeError):  # no event loop runs here
        return next((e for e in asyncio.all_tasks() if e.get_name() == _ENTRYPOINT), None)
    return None


def _direction(room: Any) -> Literal["inbound", "outbound"]:
    """Return the direction that a SIP participant shows: an inbound one has a dispatch rule."""
    found: list[Any] = []

    def look() -> None:
        there = room.remote_participants.values()
        dialled = (e.attributes for e in there if CALLERS.get(e.kind) and _CALL in e.attributes)
        found.extend(not attributes.get("sip.ruleID") for attributes in dialled)

    if room is not None:
        guarded(look)
    return "outbound" if any(found) else "inbound"


def _at_shutdown(
    phone: Patter, listener: SessionListener
) -> Callable[[str], Coroutine[Any, Any, None]]:
    async def getpatter_delivery(reason: str) -> None:
        guarded(lambda: listener.shut_down(crashed=reason == JOB_CRASHED))
        with suppress(Exception):  # the end of the job matters more than any event
            waits = (
                phone.telemetry.drain(_DELIVERY_SECONDS),
                asyncio.to_thread(phone.diagnostics.flush, _DELIVERY_SECONDS),
            )
            await asyncio.wait(map(asyncio.ensure_future, waits), timeout=_DELIVERY_SECONDS)

    return getpatter_delivery
