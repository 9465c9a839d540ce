"""What a host object runs with, and which category is missing first."""

import copy
import pickle
from typing import Any

import pytest

from getpatter.config import CARRIERS, ENGINES, Config, check_engine, resolve
from getpatter.errors import ConfigurationError
from getpatter.telemetry.events import DIMENSION_VALUES

TWILIO = {"TWILIO_ACCOUNT_SID": "AC-canary", "TWILIO_AUTH_TOKEN": "token-canary"}
COMPLETE = {**TWILIO, "PATTER_PHONE_NUMBER": "+4915112345678"}


def configure(values: dict[str, str], **arguments: Any) -> Config:
    given: dict[str, str | None] = {
        "carrier": None,
        "phone_number": None,
        "engine": None,
        "llm": None,
        **arguments,
    }
    return resolve(**given, values=values)


def missing(values: dict[str, str], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        configure(values, **arguments)
    message = str(caught.value)
    for secret in filter(None, values.values()):
        assert secret not in message
    return caught.value.category, message


def test_complete_configuration() -> None:
    config = configure(COMPLETE, carrier="twilio")
    assert (config.carrier, config.phone_number, config.engine) == (
        "twilio",
        "+4915112345678",
        None,
    )


def test_arguments_win_over_values() -> None:
    values = {**COMPLETE, "PATTER_CARRIER": "telnyx", "PATTER_ENGINE": "convai"}
    config = configure(
        {**values, "OPENAI_API_KEY": "x"}, carrier="twilio", engine="realtime", phone_number="+1"
    )
    assert (config.carrier, config.phone_number, config.engine) == ("twilio", "+1", "realtime")


def test_carrier_and_engine_come_from_values() -> None:
    values = {"PATTER_CARRIER": "none", "PATTER_ENGINE": "realtime", "OPENAI_API_KEY": "x"}
    config = configure(values)
    assert (config.carrier, config.phone_number, config.engine) == ("none", None, "realtime")


def test_repr_shows_no_credential() -> None:
    shown = repr(configure(COMPLETE, carrier="twilio"))
    for secret in TWILIO.values():
        assert secret not in shown


def test_no_carrier() -> None:
    assert missing({})[0] == "carrier_credentials"
    assert missing({"PATTER_CARRIER": ""})[0] == "carrier_credentials"
    _, message = missing({})
    assert "twilio, telnyx, plivo or none" in message
    assert "none: your program brings the media itself" in message


@pytest.mark.parametrize("given", ["Twilio", "TWILIO", " twilio\n"])
def test_a_carrier_is_known_in_any_case(given: str) -> None:
    assert configure(COMPLETE, carrier=given).carrier == "twilio"
    assert configure({**COMPLETE, "PATTER_CARRIER": given}).carrier == "twilio"
    engine = configure({"OPENAI_API_KEY": "x"}, carrier="None", engine="Realtime").engine
    assert engine == "realtime"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("canary", "unknown carrier 'canary'. Use twilio, telnyx, plivo or none"),
        ("twillio", "unknown carrier 'twillio'. Did you mean 'twilio'? Use twilio,"),
        ("TELNIX", "unknown carrier 'TELNIX'. Did you mean 'telnyx'? Use"),
        ("\x1b[2Jx\n", r"unknown carrier '\x1b[2Jx\n'. Use"),
        ("x" * 5_000, f"unknown carrier '{'x' * 60}...'. Use"),
        (["twilio"], "carrier must be text (twilio, telnyx, plivo or none), not list"),
        (7, "carrier must be text (twilio, telnyx, plivo or none), not int"),
    ],
)
def test_an_unknown_carrier_is_shown_with_the_choices(given: Any, said: str) -> None:
    category, message = missing({}, carrier=given)
    assert category == "other"
    assert message.startswith(said)
    assert message.isprintable()
    assert len(message) < 200


def test_an_unknown_engine_is_shown_with_the_choices() -> None:
    assert missing({}, carrier="none", engine="realtme") == (
        "engine_config",
        "unknown engine 'realtme'. Did you mean 'realtime'? Use realtime, convai or pipeline",
    )
    given: Any = {"realtime": 1}
    with pytest.raises(ConfigurationError, match="engine must be text"):
        check_engine(given, None, {})


@pytest.mark.parametrize("carrier", [name for name in CARRIERS if CARRIERS[name]])
def test_each_credential_of_each_carrier_is_needed(carrier: str) -> None:
    values = dict.fromkeys(CARRIERS[carrier], "x-canary")
    configure(values, carrier=carrier, phone_number="+1")
    for absent in CARRIERS[carrier]:
        for lacking in ({**values, absent: ""}, {k: v for k, v in values.items() if k != absent}):
            with pytest.raises(ConfigurationError, match=absent) as caught:
                configure(lacking, carrier=carrier, phone_number="+1")
            assert caught.value.category == "carrier_credentials"
            assert "x-canary" not in str(caught.value)


def test_phone_number_is_needed_but_without_a_carrier() -> None:
    assert missing(TWILIO, carrier="twilio")[0] == "other"
    assert configure({}, carrier="none").phone_number is None


def test_carrier_is_told_before_the_engine() -> None:
    assert missing({}, carrier="twilio", engine="nonsense")[0] == "carrier_credentials"


@pytest.mark.parametrize(
    ("engine", "llm", "values", "category"),
    [
        ("realtime", None, {}, "llm_key"),
        ("realtime", None, {"OPENAI_API_KEY": ""}, "llm_key"),
        ("realtime", None, {"ANTHROPIC_API_KEY": "x"}, "llm_key"),
        ("convai", None, {}, "engine_config"),
        ("convai", None, {"ELEVENLABS_API_KEY": "x"}, "engine_config"),
        ("convai", None, {"ELEVENLABS_AGENT_ID": "x"}, "llm_key"),
        ("pipeline", "anthropic", {}, "llm_key"),
        ("pipeline", "google", {}, "llm_key"),
        ("nonsense", None, {}, "engine_config"),
    ],
)
def test_engine_that_lacks_something(
    engine: str, llm: str | None, values: dict[str, str], category: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_engine(engine, llm, values)
    assert caught.value.category == category
    assert missing(values, carrier="none", engine=engine, llm=llm)[0] == category


@pytest.mark.parametrize(
    ("engine", "llm", "values"),
    [
        ("realtime", None, {"OPENAI_API_KEY": "x"}),
        ("convai", None, {"ELEVENLABS_AGENT_ID": "x", "ELEVENLABS_API_KEY": "x"}),
        ("pipeline", None, {}),
        ("pipeline", "of my own", {}),
        ("pipeline", "openai", {"OPENAI_API_KEY": "x"}),
        ("pipeline", "google", {"GOOGLE_API_KEY": "x"}),
        ("pipeline", "google", {"GEMINI_API_KEY": "x"}),
    ],
)
def test_engine_that_lacks_nothing(engine: str, llm: str | None, values: dict[str, str]) -> None:
    check_engine(engine, llm, values)
    assert configure(values, carrier="none", engine=engine, llm=llm).engine == engine


def test_names_are_the_schema_s() -> None:
    """What telemetry says of a configuration is one of its values."""
    assert set(CARRIERS) <= DIMENSION_VALUES["carrier"]
    assert set(ENGINES) <= DIMENSION_VALUES["engine"]
    assert {provider for provider in ENGINES.values() if provider} <= DIMENSION_VALUES["provider"]


def test_error_is_a_value_error_that_survives_a_process_pool() -> None:
    error = ConfigurationError("no carrier", "carrier_credentials")
    assert isinstance(error, ValueError)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(again) is ConfigurationError
        assert (str(again), again.category) == ("no carrier", "carrier_credentials")
