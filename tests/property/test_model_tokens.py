"""Whatever a customer calls a model, the token is one of a finite, public set."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from getpatter.telemetry._models import MODELS
from getpatter.telemetry.events import build_event
from getpatter.telemetry.stack import STACK_VENDORS, model_token, stack_dimensions, vendor_of

PUBLIC = {f"{vendor}-{name}" for vendor, names in MODELS.items() for name in names}
EXPRESSIBLE = PUBLIC | {f"{vendor}-other" for vendor in STACK_VENDORS} | {"other-other"}
TOKEN = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}")

# Long enough to stand in no public name by accident.
secrets = st.from_regex(r"zq[a-z0-9]{6,12}", fullmatch=True)
phones = st.from_regex(r"\+?[0-9]{9,14}", fullmatch=True)
known = st.sampled_from(sorted({name for names in MODELS.values() for name in names}))
vendors = st.sampled_from(sorted(STACK_VENDORS | {"other"}))

# Also what lower() turns into ASCII.
ODD = "-_./:09azAZ\N{KELVIN SIGN}\N{LATIN SMALL LETTER LONG S}\N{ARABIC-INDIC DIGIT ZERO}"

SHAPES = (
    "{secret}",
    "{secret}-{phone}",
    "{secret}_{known}",
    "{known}-{secret}",
    "{known}_{secret}-20250514",
    "{known}.{secret}",
    "ft:{known}:{secret}::{phone}",
    "{secret}/{known}",
    "/home/{secret}/models/{known}",
    "{secret}/{known}-20250514",
    "models/{secret}",
    "meta-llama/{known}/{secret}",
    "projects/{secret}/endpoints/{phone}",
    "arn:aws:bedrock:eu-west-1:{phone}:custom-model/{secret}",
    "https://{secret}.example/v1/{known}?key={phone}",
    "{secret}@{secret}.example",
    "{secret}@20250514",
    "{phone}",
    "{known}-{phone}",
    "{known}\n{secret}",
)
invented = st.builds(
    lambda shape, secret, phone, name: (
        shape.format(secret=secret, phone=phone, known=name),
        (secret, phone.lstrip("+")),
    ),
    st.sampled_from(SHAPES),
    secrets,
    phones,
    known,
)


@settings(max_examples=1000, deadline=None)
@given(vendors, invented, st.sampled_from([str, str.upper, str.title]))
def test_invented_name_is_never_expressed(
    vendor: str, invention: tuple[str, tuple[str, str]], spell: Any
) -> None:
    raw, private = invention
    assert model_token(vendor, spell(raw)) == f"{vendor}-other"
    dimensions = stack_dimensions(f"{vendor}/{raw}", raw, f"{raw}/{vendor}")
    assert not [word for word in private for value in dimensions.values() if word in value]


@settings(max_examples=1000, deadline=None)
@given(st.one_of(vendors, st.text()), st.one_of(known, st.text(), st.text(ODD)))
def test_token_is_always_one_of_a_finite_set(vendor: str, raw: str) -> None:
    token = model_token(vendor, raw)
    has_model = vendor.lower() != "none"
    assert token in EXPRESSIBLE if has_model else token is None
    for value in stack_dimensions(vendor, raw, f"{vendor}/{raw}").values():
        assert value in EXPRESSIBLE | STACK_VENDORS | {"other"}


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.sets(st.text())),
)


@given(anything, anything)
def test_no_type_raises(first: Any, second: Any) -> None:
    assert vendor_of(first) in STACK_VENDORS | {"other"}
    assert model_token(first, second) in EXPRESSIBLE | {None}
    assert stack_dimensions(first, second, None).keys() <= {
        *("stt_provider", "stt_model", "tts_provider", "tts_model")
    }


@given(vendors, known, st.dates().map("{:%Y%m%d}".format))
def test_date_and_spelling_do_not_matter(vendor: str, name: str, date: str) -> None:
    token = model_token(vendor, name)
    assert model_token(vendor, name.upper().replace("-", "_")) == token
    assert model_token(vendor, f"{name}-{date:0>8}") == token


def test_every_expressible_token_has_the_form_of_the_wire() -> None:
    assert not [token for token in EXPRESSIBLE if not TOKEN.fullmatch(token)]


@settings(max_examples=500, deadline=None)
@given(st.one_of(invented.map(lambda invention: invention[0]), st.text(), st.text(ODD), vendors))
def test_a_name_that_is_recorded_without_a_token_is_not_expressed_either(raw: str) -> None:
    event = build_event("feature_used", sdk_version="1", dimensions={"llm_model": raw})
    assert event.get("llm_model", "other-other") in EXPRESSIBLE


def test_every_public_token_passes_as_it_is() -> None:
    for token in sorted(EXPRESSIBLE):
        event = build_event("feature_used", sdk_version="1", dimensions={"tts_model": token})
        assert event["tts_model"] == token
