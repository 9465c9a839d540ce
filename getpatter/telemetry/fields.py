"""What the schemas say of a field, in words: the one reading of their rules for people. Pure.

Nothing here is ever given an event: names of fields and allowed values are ours to print, and the
content of an event is not.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Schema = dict[str, Any]

__all__ = ["demand_of", "misplaced", "rate_demand", "values_of"]


def values_of(rule: "Schema") -> str:
    """Return what may stand in a field: its values, or its kind and bounds."""
    if "const" in rule:
        return str(rule["const"])
    if "enum" in rule:
        return " ".join(map(str, rule["enum"]))
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


def _characters(rule: "Schema") -> str:
    """Return the set that the text is made of; the schema says it as what it must not contain."""
    refused = rule["not"].get("anyOf", [rule["not"]])[0]["pattern"]
    return str(refused.replace("[^", "[", 1))


def demand_of(rule: "Schema") -> str:
    """Return what a value of the field must be, as the end of a sentence."""
    if "enum" in rule:
        return f"must be one of {', '.join(map(str, rule['enum']))}"
    if "const" in rule:
        return f"must be {rule['const']}"
    if rule["type"] == "boolean":
        return "must be true or false"
    article = "" if rule["type"] == "string" else "a "
    return f"must be {article}{values_of(rule)}"


def rate_demand(schema: "Schema") -> str:
    """Return beside what `sample_rate` must not stand in an event."""
    beside = []
    for condition in schema["if"]["anyOf"]:
        (name,) = condition["required"]
        rule = condition["properties"][name]
        beside.append(name if rule is True else f"{name} {' or '.join(rule['enum'])}")
    return f"must not occur together with {', or '.join(beside)}"


def misplaced(name: str, event: str, documents: "dict[str, Schema]") -> str:
    """Return why the field `name` may not stand in `event`, without repeating a name not ours."""
    import difflib  # only once something is wrong

    fields = {field for schema in documents.values() for field in schema["properties"]}
    if name in fields:
        return f"{name} does not belong to {event}"
    known = sorted(documents[event]["properties"])
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.75)
    return "an unknown field" + (f" (did you mean {near[0]}?)" if near else "")
