"""`observe(worker, phone)`: one line that makes a call of a Pipecat conversation."""

from __future__ import annotations

import importlib.metadata
import logging
import weakref
from typing import TYPE_CHECKING, Any

from getpatter.integrations.frameworks import PIPECAT
from getpatter.integrations.guarded import guarded
from getpatter.integrations.pipecat.conversation import Conversation
from getpatter.integrations.pipecat.mapping import (
    DISCONNECTED,
    MISSING_WITHOUT_METRICS,
    service_of,
)
from getpatter.integrations.pipecat.observer import Reader, observer_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from getpatter.call import Call
    from getpatter.patter import Patter

__all__ = ["observe"]

_log = logging.getLogger("getpatter.integrations.pipecat")
# The call of each worker that is observed.
_calls: weakref.WeakKeyDictionary[object, Call] = weakref.WeakKeyDictionary()
# Warnings of this process: one is enough for all its calls.
_warned: set[str] = set()


def observe(
    worker: Any,
    phone: Patter,
    *,
    transport: Any = None,
    direction: Literal["inbound", "outbound"] = "inbound",
    carrier: str | None = None,
    session: str | None = None,
) -> Call:
    """Return the call of a `PipelineWorker`, which begins now and ends by itself.

    ``observe(worker, phone, transport=transport)`` before the worker runs. `transport` says when
    the caller hangs up; without it, it is looked for in the pipeline. Switches the metrics of
    Pipecat on, unless they were explicitly set off. Observing a worker again returns the same call.
    Raises ModuleNotFoundError, before a call begins, if Pipecat is not installed.
    """
    try:
        import pipecat.observers.user_bot_latency_observer  # noqa: F401
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pipecat":
            raise  # Pipecat is there, and lacks something itself
        raise ModuleNotFoundError(PIPECAT.how, name=error.name) from None
    known = _calls.get(worker)
    if known is not None:
        return known
    call = phone.call(direction=direction, carrier=carrier, session=session)
    _calls[worker] = call
    guarded(_check_version)
    guarded(_describe, worker, call)
    guarded(_switch_metrics_on, worker)
    conversation = Conversation(call)
    reader = Reader(conversation)
    guarded(_attach, worker, reader, conversation)
    guarded(_listen, worker, transport, conversation)
    return call


def _check_version() -> None:
    version = importlib.metadata.version(PIPECAT.package)
    if not PIPECAT.is_tested(version):
        _warn(f"Pipecat {version} is not tested, only {PIPECAT.versions}")


def _attach(worker: Any, reader: Reader, conversation: Conversation) -> None:
    worker.add_observer(observer_of(reader, conversation))
    worker.add_event_handler("on_pipeline_error", lambda _, frame: guarded(reader.failed, frame))
    worker.add_event_handler("on_pipeline_finished", lambda *_: guarded(conversation.end, "local"))


def _listen(worker: Any, transport: Any, conversation: Conversation) -> None:
    """Have the transport say that the caller has left: some give no frame for it."""
    conversation.knows_sides = False
    for each in _transports(worker) if transport is None else [transport]:
        # To add a handler for an event that a transport lacks is a line in the host's log.
        known = getattr(each, "_event_handlers", DISCONNECTED)
        name = next((name for name in DISCONNECTED if name in known), None)
        if name is not None:
            each.add_event_handler(name, lambda *_: guarded(conversation.left))
            conversation.knows_sides = True
    if not conversation.knows_sides:
        _warn(
            "no transport is known that says when a caller hangs up, so calls will not say who did:"
            " name it, observe(worker, phone, transport=transport)"
        )


def _transports(worker: Any) -> list[Any]:
    """Return the transports of a pipeline. Its processors refer to theirs in no public way."""
    found = [getattr(each, "_transport", None) for each in _processors(worker.pipeline)]
    return list({id(each): each for each in found if hasattr(each, "add_event_handler")}.values())


def _processors(processor: Any) -> Iterator[Any]:
    yield processor
    for each in processor.processors:
        yield from _processors(each)


def _switch_metrics_on(worker: Any) -> None:
    params = worker.params
    if params.enable_metrics:
        return
    if "enable_metrics" in params.model_fields_set:
        missing = ", ".join(MISSING_WITHOUT_METRICS)
        _warn(f"enable_metrics is off in Pipecat, so calls will lack {missing}")
    else:
        params.enable_metrics = True


def _describe(worker: Any, call: Call) -> None:
    """Say which services answer, as far as their vendors are known."""
    layers: dict[str, str] = {}
    engine = "pipeline"
    for processor in _processors(worker.pipeline):
        service = service_of(processor)
        if service is None:
            continue
        if service.is_realtime:
            engine = "realtime"
        model = getattr(getattr(processor, "_settings", None), "model", None)
        name = service.vendor or "other"
        layers.setdefault(service.stage, f"{name}/{model}" if isinstance(model, str) else name)
    # Of a speech-to-speech engine, a call knows OpenAI's alone: another vendor's is not said.
    if layers and (engine == "pipeline" or layers.get("llm", "").startswith("openai")):
        call.describe(engine=engine, **layers)


def _warn(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        _log.warning("getpatter: %s", message)
