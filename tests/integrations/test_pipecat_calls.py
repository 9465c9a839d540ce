"""What arrives of calls on real Pipecat, behind a real media stream."""

import asyncio
import importlib
import itertools
import re
import runpy
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pipecat.frames import frames
from pipecat.frames.frames import ClientConnectedFrame, ErrorFrame, MetricsFrame
from pipecat.observers.user_bot_latency_observer import LatencyBreakdown
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.workers.runner import WorkerRunner
from pipecat_line import CANARY, Bot, Caller, ErrorCategory, Live, Model, call, fail, serve
from watched import Observed

from getpatter import Patter
from getpatter.integrations.pipecat import observe
from getpatter.integrations.pipecat.mapping import CATEGORIES, FRAMES, STAGES

ROOT = Path(__file__).parents[2]
Talk = Callable[[Caller, Bot], Awaitable[None]]


def python_blocks(document: str, text: str) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)
    return [block for block in found if text in block]


class Watched(Observed):
    def observe(self, bot: Bot) -> None:
        observe(bot.worker, self.phone, transport=bot.transport)

    def run(self, talk: Talk, bot: Bot) -> dict[str, Any]:
        if bot.attach is None:
            bot.attach = self.observe
        asyncio.run(call(bot, talk))
        return self.completed()

    def stages(self, stage: str) -> list[float]:
        return [
            each.data["elapsed_ms"]
            for each in self.diagnosed
            if each.type == "stage.completed" and each.data["stage"] == stage
        ]

    def answers(self) -> list[float]:
        return [e.data["latency_ms"] for e in self.diagnosed if e.type == "call.turn_answered"]


@pytest.fixture
def watched(getpatter_telemetry: Any) -> Watched:
    return Watched(getpatter_telemetry, CANARY)


async def one_turn(caller: Caller, bot: Bot) -> None:
    bot.frames.stopped.clear()
    await caller.speak()
    await asyncio.wait_for(caller.heard.wait(), 20)


async def two_turns_and_end(caller: Caller, bot: Bot) -> None:
    for _ in range(2):
        await one_turn(caller, bot)
        await spoken(bot)
    await bot.worker.stop_when_done()


async def spoken(bot: Bot) -> None:
    await asyncio.wait_for(bot.frames.stopped.wait(), 20)


async def turn_and_hang_up(caller: Caller, bot: Bot) -> None:
    await one_turn(caller, bot)
    await caller.hang_up()
    await asyncio.wait_for(bot.done.wait(), 20)


def test_the_agent_ends_it_and_figures_are_those_of_pipecat(watched: Watched) -> None:
    bot = Bot()
    completed = watched.run(two_turns_and_end, bot)
    assert completed["outcome"] == "completed"
    assert completed["disconnect_reason"] == "hangup_local"
    assert completed["turn_count_bucket"] == "2_3"
    said = {"stt": "Recogniser", "llm": "Model", "tts": "Voice"}
    for stage, service in said.items():
        figures = [round(seconds * 1_000, 3) for seconds in bot.frames.ttfb[service]]
        assert [round(each, 3) for each in watched.stages(stage)] == figures
    assert len(watched.stages("eou")) == 2
    assert len(watched.answers()) == 2
    assert not {"llm_model", "stt_model"} & completed.keys()  # services of the host's own


def test_the_answer_is_what_the_caller_measures(watched: Watched) -> None:
    waited: list[float] = []

    async def talk(caller: Caller, bot: Bot) -> None:
        for _ in range(3):
            await one_turn(caller, bot)
            waited.append((caller.heard_at - caller.silent_at) * 1_000)
            await spoken(bot)
        await bot.worker.stop_when_done()

    watched.run(talk, Bot())
    # A machine that was busy between the two clocks has not been so in each turn.
    apart = [abs(ours - theirs) for ours, theirs in zip(watched.answers(), waited, strict=True)]
    assert min(apart) < 100


def test_the_caller_hangs_up_which_gives_no_frame(watched: Watched) -> None:
    bot = Bot(idle_timeout_secs=2)
    completed = watched.run(turn_and_hang_up, bot)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_remote")


def test_the_transport_is_found_where_none_is_named(watched: Watched) -> None:
    bot = Bot(idle_timeout_secs=2)
    bot.attach = lambda bot: observe(bot.worker, watched.phone)
    assert watched.run(turn_and_hang_up, bot)["disconnect_reason"] == "hangup_remote"


def test_a_host_that_cancels_when_the_caller_left(watched: Watched) -> None:
    def attach(bot: Bot) -> None:
        async def left(*_: object) -> None:
            await bot.worker.cancel()

        bot.transport.add_event_handler("on_client_disconnected", left)
        watched.observe(bot)

    bot = Bot()
    bot.attach = attach
    assert watched.run(turn_and_hang_up, bot)["disconnect_reason"] == "hangup_remote"


def test_nobody_speaks_any_more(watched: Watched) -> None:
    bot = Bot(idle_timeout_secs=1)
    completed = watched.run(one_turn, bot)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_local")


async def speak(caller: Caller, _: Bot) -> None:
    await caller.speak()


async def speak_and_hang_up(caller: Caller, _: Bot) -> None:
    await caller.speak()
    await caller.hang_up()


async def fatal(model: Any) -> None:
    await fail(model, fatal=True)


async def permanent(model: Any) -> None:
    await fail(model, fatal=False)


def has_failed(completed: dict[str, Any], watched: Watched) -> None:
    assert (completed["outcome"], completed["error_layer"]) == ("error", "llm")
    code = "auth" if ErrorCategory is not None else "provider_error"
    assert completed["error_code"] == code
    [error] = [each for each in watched.diagnosed if each.type == "error"]
    assert CANARY in error.data["message"]


@pytest.mark.filterwarnings("ignore")  # the flag is deprecated, and still ends calls
def test_an_error_that_ends_the_call(watched: Watched) -> None:
    bot = Bot()
    bot.model.instead = fatal
    has_failed(watched.run(speak, bot), watched)


if ErrorCategory is not None:
    from pipecat.pipeline.worker import ProcessorUnusablePolicy

    def test_an_unusable_service_by_which_the_pipeline_ends(watched: Watched) -> None:
        bot = Bot(processor_unusable_policy=ProcessorUnusablePolicy.CANCEL)
        bot.model.instead = permanent
        has_failed(watched.run(speak, bot), watched)

    def test_an_unusable_service_that_the_caller_hangs_up_on(watched: Watched) -> None:
        bot = Bot(idle_timeout_secs=2)
        bot.model.instead = permanent
        has_failed(watched.run(speak_and_hang_up, bot), watched)


def test_an_unusable_service_that_another_stands_in_for(watched: Watched) -> None:
    bot = Bot()

    async def instead(model: Any) -> None:
        model.instead = None
        await permanent(model)

    async def talk(caller: Caller, bot: Bot) -> None:
        await caller.speak()
        await two_turns_and_end(caller, bot)

    bot.model.instead = instead
    completed = watched.run(talk, bot)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_local")


def test_an_error_that_is_recovered_from(watched: Watched) -> None:
    bot = Bot()

    async def instead(model: Model) -> None:
        model.instead = None
        await model.push_error("once more, please")

    async def talk(caller: Caller, bot: Bot) -> None:
        await caller.speak()
        await two_turns_and_end(caller, bot)

    bot.model.instead = instead
    completed = watched.run(talk, bot)
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_local")


def test_the_caller_interrupts(watched: Watched) -> None:
    bot = Bot()
    bot.voice.seconds = 5

    async def cut(caller: Caller, bot: Bot) -> None:
        await one_turn(caller, bot)
        bot.voice.seconds = 0.1
        await one_turn(caller, bot)
        await spoken(bot)
        await bot.worker.stop_when_done()

    completed = watched.run(cut, bot)
    assert completed["outcome"] == "completed"
    assert len(watched.stages("llm")) == len(watched.stages("tts")) == 2


def test_the_frames_are_the_same_as_without_us(watched: Watched) -> None:
    plain = Bot()

    def switch_on(bot: Bot) -> None:
        bot.worker.params.enable_metrics = True

    plain.attach = switch_on
    asyncio.run(call(plain, two_turns_and_end))
    observed = Bot()
    watched.run(two_turns_and_end, observed)
    # How often the agent "is speaking" depends on the machine.
    seen = [
        Counter(bot.frames.names) - Counter(BotSpeakingFrame=10**6) for bot in (plain, observed)
    ]
    assert seen[0] == seen[1]


def test_metrics_that_the_host_has_set_off_stay_off(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def attach(bot: Bot) -> None:
        watched.observe(bot)
        other = PipelineWorker(Pipeline([Model()]), params=PipelineParams(enable_metrics=False))
        observe(other, Patter(carrier="none", telemetry=False), transport=bot.transport).end()

    bot = Bot()
    bot.attach = attach
    bot.params = PipelineParams(enable_metrics=False)
    completed = watched.run(two_turns_and_end, bot)
    assert caplog.text.count("llm_ttft_ms") == 1
    assert "MetricsFrame" not in bot.frames.names
    assert "llm_ttft_ms" not in completed
    assert completed["latency_ms"] > 0


def test_who_hung_up_is_unknown_where_no_transport_says_it(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        worker = PipelineWorker(Pipeline([Model()]))
        observe(worker, watched.phone)
        other = PipelineWorker(Pipeline([Model()]))
        observe(other, Patter(carrier="none", telemetry=False)).end()
        await worker.queue_frame(ClientConnectedFrame())
        await worker.stop_when_done()
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()

    asyncio.run(run())
    completed = watched.completed()
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "completed")
    assert caplog.text.count("transport=transport") == 1


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


def test_an_observer_outlives_what_it_looks_at(watched: Watched) -> None:
    """Pipecat stops to feed an observer that has raised once."""
    observers: list[Any] = []

    def attach(bot: Bot) -> None:
        add = bot.worker.add_observer

        def added(observer: Any) -> None:
            observers.append(observer)
            add(observer)

        bot.worker.add_observer = added
        watched.observe(bot)

    async def talk(caller: Caller, bot: Bot) -> None:
        await one_turn(caller, bot)
        await spoken(bot)
        odd = {
            "frame": [
                Hostile(),
                MetricsFrame(data=[Hostile()]),
                ErrorFrame("", processor=Hostile()),
            ],
            "direction": [FrameDirection.DOWNSTREAM, Hostile()],
            "source": [Hostile()],
        }
        for values in itertools.product(*odd.values()):
            await observers[0].on_push_frame(SimpleNamespace(**dict(zip(odd, values, strict=True))))
        await observers[0].on_push_frame(Hostile())
        await one_turn(caller, bot)
        await spoken(bot)
        await bot.worker.stop_when_done()

    bot = Bot()
    bot.attach = attach
    completed = watched.run(talk, bot)
    assert len(observers) == 1
    assert completed["turn_count_bucket"] == "2_3"
    assert len(watched.stages("tts")) == len(watched.answers()) == 2


def test_a_speech_to_speech_service_is_an_engine_of_its_own(watched: Watched) -> None:
    bot = Bot()
    bot.model = Live(api_key=CANARY)
    completed = watched.run(two_turns_and_end, bot)
    assert (completed["engine"], completed["provider"]) == ("realtime", "openai")
    assert bot.frames.ttfb["Live"]
    assert "llm_ttft_ms" not in completed
    assert completed["latency_ms"] > 0


def test_observing_a_worker_again_is_the_same_call(watched: Watched) -> None:
    calls: list[Any] = []

    def attach(bot: Bot) -> None:
        calls.extend(observe(bot.worker, watched.phone) for _ in range(2))

    bot = Bot()
    bot.attach = attach
    watched.run(two_turns_and_end, bot)
    assert calls[0] is calls[1]


def test_a_setup_file_observes_what_was_not_changed(
    watched: Watched, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    [pasted] = python_blocks("docs/pipecat.mdx", "setup_pipeline_worker")
    setup = tmp_path / "observed.py"
    setup.write_text(pasted)
    monkeypatch.setenv("PIPECAT_SETUP_FILES", str(setup))
    bot = Bot(idle_timeout_secs=2)
    bot.attach = lambda _: None
    assert watched.run(turn_and_hang_up, bot)["disconnect_reason"] == "hangup_remote"


def test_the_two_lines_of_readme_run_as_pasted(watched: Watched) -> None:
    [pasted] = python_blocks("README.md", "integrations.pipecat")
    bot = Bot(idle_timeout_secs=2)
    bot.attach = lambda bot: exec(  # noqa: S102 # as a reader pastes it
        pasted, {"worker": bot.worker, "transport": bot.transport}
    )
    assert watched.run(turn_and_hang_up, bot)["disconnect_reason"] == "hangup_remote"


def test_the_example_reports_its_call(
    getpatter_telemetry: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = runpy.run_path(str(ROOT / "examples" / "pipecat_bot.py"))

    async def talk(caller: Caller) -> None:
        await caller.begin()
        await caller.speak()
        await asyncio.wait_for(caller.heard.wait(), 20)
        await caller.hang_up()

    asyncio.run(serve(program["app"], talk))
    [completed] = [e for e in getpatter_telemetry.events if e["event"] == "call_completed"]
    assert (completed["outcome"], completed["disconnect_reason"]) == ("completed", "hangup_remote")


def test_the_tables_are_those_of_pipecat() -> None:
    for name in STAGES:
        module, _, kind = name.rpartition(".")
        assert hasattr(importlib.import_module(module), kind)
    assert [name for name in FRAMES if not hasattr(frames, name)] == []
    assert "user_turn_secs" in LatencyBreakdown.model_fields
    if ErrorCategory is not None:
        assert {each.value for each in ErrorCategory} == set(CATEGORIES)
