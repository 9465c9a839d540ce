"""The host object: configuration check, then telemetry's startup, then agents and calls."""

from functools import partial
from typing import TYPE_CHECKING

from getpatter import config
from getpatter._version import __version__
from getpatter.agent import Agent, agent_dimensions
from getpatter.call import Call
from getpatter.call_facts import engine_facts
from getpatter.calls.callbacks.host_events import HostEvents
from getpatter.calls.events.hub import hub_of
from getpatter.calls.mistakes import mistake
from getpatter.calls.switchboard import Switchboard
from getpatter.errors import ConfigurationError
from getpatter.telemetry import env
from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry._plain import lower_text
from getpatter.telemetry.client import TelemetryClient
from getpatter.telemetry.events import coerced
from getpatter.telemetry.install_id import new_id
from getpatter.telemetry.stack import stack_dimensions
from getpatter.telemetry.startup import record_startup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from getpatter.calls import Hub, NullHub
    from getpatter.calls.result import Result
    from getpatter.calls.stats.null_service import NullService
    from getpatter.calls.stats.service import Service

__all__ = ["Agent", "Patter"]

_DIRECTIONS = ("inbound", "outbound")


class Patter:
    """The voice library's host object.

    `carrier` is `twilio`, `telnyx`, `plivo` or `none` (the program brings the media itself);
    `credentials` maps the carrier's and the engine's variables to values. What is not passed is
    taken from the environment, then from `.env`. Raises ConfigurationError if something required
    is missing. `telemetry=False` turns the anonymous telemetry off; True overrides no opt-out.

    `diagnostics` is the hub that calls emit their events to, for you alone; by default one with no
    sink, False for none at all. It has nothing to do with telemetry. `stats_interval` is the time
    between two stats records, in seconds (10 unless given; 0 is never). With `apply_recommended`
    the host says that what the collector recommends is applied: it can only reduce what telemetry
    collects.
    """

    def __init__(
        self,
        *,
        carrier: str | None = None,
        credentials: "Mapping[str, str] | None" = None,
        phone_number: str | None = None,
        engine: str | None = None,
        llm: str | None = None,
        tunnel: object = None,
        telemetry: bool | None = None,
        diagnostics: "Hub | NullHub | Literal[False] | None" = None,
        stats_interval: float | None = None,
        apply_recommended: bool = False,
    ) -> None:
        environ = env.process_environment()
        self._diagnostics = hub_of(diagnostics)
        given = {
            "carrier": carrier,
            "engine": engine,
            "telemetry": telemetry,
            "diagnostics": diagnostics,
            "stats_interval": stats_interval,
            "apply_recommended": apply_recommended,
        }
        dotenv = env.read_dotenv(".env")
        self._host_events = HostEvents(apply_recommended=apply_recommended)
        self._telemetry = TelemetryClient(
            sdk_version=__version__, flag=telemetry, observer=self._host_events.observer()
        )
        self._host_events.about(self._telemetry)
        self._board = Switchboard(self._diagnostics, self._host_events)
        if stats_interval is not None and not self._board.set_stats_interval(stats_interval):
            message = mistake("stats_interval", ("0, or 1 to 86,400 seconds",), stats_interval)
            raise ValueError(message)
        self._is_incomplete = False
        self._shapes: set[str] = set()
        values = {**dotenv, **environ, **(credentials or {})}
        try:
            self.config = config.resolve(
                carrier=carrier, phone_number=phone_number, engine=engine, llm=llm, values=values
            )
        except ConfigurationError as error:
            self._say_incomplete(error)
            raise
        chosen = {"carrier": self.config.carrier, "engine": self.config.engine}
        self._host_events.settings = partial(
            _settings, environ, dotenv, given, chosen, self._diagnostics
        )
        record_startup(
            self._telemetry,
            environ,
            carrier=self.config.carrier,
            tunnel=_tunnel_kind(tunnel),
        )
        # After the client's own hook, so that it runs before: what it records is still sent.
        self._board.hook()

    @property
    def telemetry(self) -> TelemetryClient:
        """The client behind this object: `stats()`, `flush()`, `close()`."""
        return self._telemetry

    @property
    def diagnostics(self) -> "Hub | NullHub":
        """The hub of this object's calls: `attach()`, `flush()`, `close()`, `stats()`."""
        return self._diagnostics

    @property
    def service(self) -> "Service | NullService":
        """The statistics of this object's calls: `counts()`, `flush()`; null while nobody listens.

        It is there from the first sink or the first callback for `stats` or `error`.
        """
        return self._board.service

    def on(self, name: str, callback: "Callable[..., object]") -> "Result":
        """Attach a callback, plain or async, for all calls: `stats`, `error`, `init`,
        `default_config`, `recommended_config` or `precall_test`.

        Answers `unknown_callback` for another name. Raises TypeError for what cannot be called.
        """
        return self._board.on(name, callback)

    def set_stats_interval(self, seconds: float) -> "Result":
        """Set the time between two stats records of all calls that have none of their own; 0 is
        never. Answers `refused_interval` for what is not 0 and not 1 to 86,400.
        """
        return self._board.set_stats_interval(seconds)

    def event(
        self, kind: str, fields: "Mapping[str, object] | None" = None, *, notify: bool = True
    ) -> "Result":
        """Emit an event of the vocabulary that belongs to no call, as of egress or a webhook."""
        return self._board.event(kind, {} if fields is None else fields, notify=notify)

    def precall_test(
        self,
        endpoints: "Sequence[str | tuple[str, int]]",
        *,
        probes: int = 5,
        timeout: float = 10.0,
    ) -> "Result":
        """Begin to probe endpoints and return at once; callbacks of `precall_test` get the outcome.

        Takes at most `timeout` seconds. Answers `refused_endpoint` for what is no endpoint.
        """
        return self._board.precall_test(endpoints, probes, timeout)

    def agent(
        self,
        *,
        engine: str | None = None,
        stt: object = None,
        tts: object = None,
        llm: object = None,
        tools: "Sequence[object]" = (),
        mcp_servers: "Sequence[object]" = (),
        integration: str | None = None,
        noise_reduction: str | None = None,
        turn_detection: object = None,
        preambles: bool = False,
        llm_fallback: object = None,
    ) -> Agent:
        """Return an agent. Raises ConfigurationError if its engine lacks something required.

        A layer is an object with `provider_key` and `model`, or a string `vendor/model`. A tool
        is the name of a built-in one, or anything else for one of your own.
        """
        is_pipeline = stt is not None or tts is not None or llm is not None
        chosen = engine or self.config.engine or ("pipeline" if is_pipeline else "realtime")
        chosen = config.known(chosen, config.ENGINES) or chosen
        stack = stack_dimensions(stt, tts, llm)
        try:
            facts = {**engine_facts(chosen, stack), "carrier": self.config.carrier}
            self._record_once("feature_used", {**facts, **stack})
            self._record_once(
                "agent_configured",
                agent_dimensions(
                    tools=tools,
                    mcp_servers=mcp_servers,
                    integration=integration,
                    noise_reduction=noise_reduction,
                    turn_detection=turn_detection,
                    preambles=preambles,
                    llm_fallback=llm_fallback,
                ),
            )
        except BaseException as error:  # what an argument does when looked at: no error of theirs
            if is_ctrl_c(error):
                raise
            self._telemetry.record("agent_configured")
        try:
            vendor = stack.get("llm_provider") if isinstance(llm, str) else None
            config.check_engine(chosen, vendor, self.config.values)
        except ConfigurationError as error:
            self._say_incomplete(error)
            raise
        return Agent(engine=chosen, stt=stt, tts=tts, llm=llm, tools=tools, mcp_servers=mcp_servers)

    def call(
        self,
        *,
        direction: str,
        agent: "Agent | None" = None,
        carrier: str | None = None,
        session: str | None = None,
        ring_events: int | None = None,
        delivery: 'Literal["IN_PLACE", "BATCH"]' = "IN_PLACE",
        ends_with: str | None = None,
    ) -> Call:
        """Begin a call: `with patter.call(direction="inbound", agent=agent) as call:`.

        `direction` is `inbound` or `outbound`, `carrier` the one of this call if it is not that of
        this object. For diagnostics alone: `session` is an id of yours
        (otherwise the call's own random one), `ring_events` how many of its last events a late
        subscriber gets (0: none), `delivery` whether events are emitted at once or in batches.
        `ends_with` names a participant: when every owner has reported that it left, the call ends.
        """
        engine = self.config.engine if agent is None else agent.engine
        stack = {} if agent is None else stack_dimensions(agent.stt, agent.tts, agent.llm)
        call_uid = new_id()
        said = lower_text(direction)
        facts: dict[str, object] = {
            **engine_facts(engine, stack),
            "carrier": lower_text(carrier) or self.config.carrier,
            "direction": said if said in _DIRECTIONS else None,
            "call_uid": call_uid,
        }
        call = Call(
            self._telemetry,
            facts,
            self._board,
            session=session if isinstance(session, str) and session else call_uid,
            ring_events=ring_events,
            delivery=delivery,
            stack=stack,
            ends_with=ends_with,
        )
        if said not in _DIRECTIONS:
            call.refuse("direction", _DIRECTIONS, direction, of="call")
        if carrier is not None and not lower_text(carrier):
            call.refuse("carrier", ("a name",), carrier, of="call")
        return call

    def _say_incomplete(self, error: ConfigurationError) -> None:
        if not self._is_incomplete:
            self._is_incomplete = True
            self._telemetry.record("config_incomplete", missing=error.category)

    def _record_once(self, name: str, dimensions: "dict[str, object]") -> None:
        # What looks the same in the data is the same shape.
        shape = repr(coerced(name, dimensions))
        if shape not in self._shapes:
            self._shapes.add(shape)
            self._telemetry.record(name, **dimensions)


def _settings(
    environ: "Mapping[str, str]",
    dotenv: "Mapping[str, str]",
    given: "Mapping[str, object]",
    chosen: "Mapping[str, object]",
    hub: "Hub | NullHub",
) -> "dict[str, tuple[object, str]]":
    from getpatter.settings import effective  # only who asks needs it

    return effective(environ, dotenv, given=given, chosen=chosen, hub=hub)


def _tunnel_kind(tunnel: object) -> str:
    if tunnel is None or tunnel is False:
        return "none"
    return "static" if isinstance(tunnel, str) else "configured"
