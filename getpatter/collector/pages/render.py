"""Makes HTML of pages. Every value is escaped; a name that is missing in a template is an error."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ICON", "html", "style", "style_digest", "style_version"]

#: A dot with its interval, in a colour that both a light and a dark browser show.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 8h14M1 5v6M15 5v6" '
    'stroke="#3b82c4" stroke-width="1.5" fill="none"/><circle cx="8" cy="8" r="3.5" '
    'fill="#3b82c4"/></svg>'
)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["style_version"] = style_version()
    return made


@lru_cache(maxsize=1)
def style() -> str:
    """Return the style sheet."""
    return resources.files(__package__).joinpath("style.css").read_text("utf-8")


def style_version() -> str:
    """Return what changes with the style sheet, so that a browser never keeps an old one."""
    return sha256(style().encode()).hexdigest()[:12]


def style_digest(text: str) -> str:
    """Return the name by which a content security policy allows one inline style sheet."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def html(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its values."""
    return _environment().get_template(template).render(values)
