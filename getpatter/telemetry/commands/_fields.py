"""What the schemas say of each field, as rows: the one reading of them for people."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["values_of"]


def values_of(rule: "dict[str, Any]") -> str:
    """Return what may stand in a field: its values, or its kind and bounds."""
    if "const" in rule:
        return str(rule["const"])
    if "enum" in rule:
        return " ".join(rule["enum"])
    kind: str = rule["type"]
    if kind == "boolean":
        return "true false"
    if kind == "string":
        low, high = rule["minLength"], rule["maxLength"]
        length = f"{low}" if low == high else f"{low} to {high}"
        begin = f", begins with {rule['pattern'].removeprefix('^')}" if "pattern" in rule else ""
        return f"text of {length} characters {_characters(rule)}{begin}"
    low = f"above {rule['exclusiveMinimum']}" if "exclusiveMinimum" in rule else rule["minimum"]
    high = f"below {rule['exclusiveMaximum']}" if "exclusiveMaximum" in rule else rule["maximum"]
    return f"{'whole number' if kind == 'integer' else 'number'}, {low} to {high}"


def _characters(rule: "dict[str, Any]") -> str:
    """Return the set that the text is made of; the schema says it as what it must not contain."""
    refused = rule["not"].get("anyOf", [rule["not"]])[0]["pattern"]
    return str(refused.replace("[^", "[", 1))
