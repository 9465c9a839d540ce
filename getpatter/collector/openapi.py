"""`/openapi.json`, made of the schemas by which events are judged."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from getpatter._version import __version__
from getpatter.collector.judge import LANGUAGES, overlay
from getpatter.collector.limits import KEY_SECONDS, MAX_AGE, MAX_EVENTS
from getpatter.collector.store.columns import schemas

__all__ = ["document"]

_ERRORS = {
    "400": "Not in order; the body says why.",
    "408": "The request took too long to arrive.",
    "411": "Content-Length is missing.",
    "413": "Too many bytes or events.",
    "415": "Not application/json, or neither gzip nor identity.",
}
_LATER = {"429": "Too many events.", "503": "Not now: behind, or the disk is full."}
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_LOSS = "[a-z_]{1,64}:[a-z_]{1,64}=[0-9]{1,9}"


@cache
def document() -> bytes:
    """Return the description of the ingest listener."""
    components: dict[str, Any] = {
        f"v{version}.{name}.{language}": _component(schema, language)
        for version, events in schemas().items()
        for name, schema in events.items()
        for language in LANGUAGES
    }
    components["Error"] = _object({"error": {"type": "string"}})
    components["Receipt"] = _object({"receipt": _ID, "state": {"enum": ["pending", "erased"]}})
    components["Answer"] = _answer()
    components["Batch"] = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_EVENTS,
        "items": {"anyOf": [_ref(name) for name in components if name.startswith("v")]},
    }
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Patter telemetry collector", "version": __version__},
            "paths": {
                "/v1/ingest": {"post": _ingest()},
                "/v1/installs/{install_id}": {"delete": _erase()},
                "/v1/receipts/{receipt}": {"get": _receipt()},
            },
            "components": {"schemas": components},
        }
    )


def _component(schema: dict[str, Any], language: str) -> dict[str, Any]:
    made = overlay(schema, language, is_legacy=False)
    return {key: value for key, value in made.items() if key not in {"$id", "$schema"}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "properties": properties}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _answer() -> dict[str, Any]:
    refused = _object(
        {
            "index": {"type": "integer"},
            "pointer": {"type": "string"},
            "rule": {"type": "string"},
        }
    )
    recommended = {
        "type": "object",
        "properties": {
            "sample_rate": {"type": "number", "minimum": 0, "maximum": 1},
            "without": {"type": "array", "items": {"type": "string"}},
            "off": {"const": True},
        },
    }
    made = _object(
        {
            "accepted": {"type": "integer"},
            "refused": {"type": "array", "items": refused},
        }
    )
    made["properties"]["recommended"] = recommended
    return made


def _responses(name: str, *statuses: str) -> dict[str, Any]:
    errors = {**_ERRORS, "404": "Not known.", **_LATER}
    return {
        "200": {"description": "Done.", "content": {"application/json": {"schema": _ref(name)}}},
        **{
            status: {
                "description": errors[status],
                "content": {"application/json": {"schema": _ref("Error")}},
            }
            for status in statuses
        },
    }


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _ingest() -> dict[str, Any]:
    days = KEY_SECONDS // 86_400
    return {
        "summary": "Take a batch of events",
        "description": "A batch that is answered with 200 has been committed and synced to disk.",
        "parameters": [
            _header("Idempotency-Key", f"The same on every retry; kept for {days} days.", _ID),
            _header(
                "Patter-Batch-Age",
                "Whole seconds since the batch was closed.",
                {"type": "integer", "minimum": 0, "maximum": MAX_AGE},
            ),
            _header(
                "Patter-Sample-Rate",
                "The rate in force in the run.",
                {"type": "number", "minimum": 0, "maximum": 1},
            ),
            _header(
                "Patter-Client-Report",
                "Losses: `event:reason=count, ...`.",
                {"type": "string", "pattern": f"^({_LOSS}(, {_LOSS}){{0,255}})?$"},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("Batch")}},
        },
        "responses": _responses("Answer", *_ERRORS, *_LATER),
    }


def _in_path(name: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": _ID}]


def _erase() -> dict[str, Any]:
    return {
        "summary": "Erase all events of an install",
        "parameters": _in_path("install_id"),
        "responses": _responses("Receipt", "400", *_LATER),
    }


def _receipt() -> dict[str, Any]:
    return {
        "summary": "Say whether an erasure has been carried out",
        "parameters": _in_path("receipt"),
        "responses": _responses("Receipt", "404"),
    }
