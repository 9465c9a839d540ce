"""A dial that failed: what its SIP status says, on a call that may have no session yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.integrations.guarded import guarded
from getpatter.integrations.livekit.mapping import code_of_sip

if TYPE_CHECKING:
    from getpatter.call import Call

__all__ = ["dial_failed"]


def dial_failed(call: Call, error: BaseException, *, cancelled: bool = False) -> None:
    """End a call whose dial has failed; never raises.

    ``dial_failed(phone.call(direction="outbound"), error)`` in the `except` of
    `create_sip_participant`. `error` is its `SipCallError`, or whatever else it raised. `cancelled`
    says that you have given up the dial, which SIP reports like a call that nobody answered.
    """
    guarded(_say, call, error, cancelled)
    call.end()


def _say(call: Call, error: Any, cancelled: bool) -> None:  # noqa: FBT001 # its caller names it
    if cancelled:
        call.hangup("local")
        return
    said = "timeout" if isinstance(error, TimeoutError) else code_of_sip(_status(error))
    if said == "busy":
        call.busy()
    elif said == "no_answer":
        call.no_answer()
    else:
        call.error(said, "carrier")


def _status(error: Any) -> int | None:
    # Before `SipCallError` there was only the metadata.
    metadata = getattr(error, "metadata", None) or {}
    said = str(metadata.get("sip_status_code", ""))
    return int(said) if said.isascii() and said.isdigit() else None
