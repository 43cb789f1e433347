"""Shape the parameters' JSON schema into a form that reads well in the Prefect UI."""

from typing import Any

from storage.secrets import NO_SECRET

ABBREVIATIONS = {"lr": "learning rate", "ema": "EMA", "crf": "CRF", "lpips": "LPIPS", "st": "ST", "gpus": "GPUs"}


def make_title(name: str, field: Any) -> str:
    """Make a field's title from its name: ``lr_warmup_steps`` -> "Learning rate warmup steps"."""
    title = " ".join(ABBREVIATIONS.get(word, word) for word in name.split("_"))
    return title[0].upper() + title[1:] if name != "x0" else name


class Arranged:
    """Annotates a field that is a dataclass: its part of the form is arranged, too."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> Any:
        schema = handler(core)
        arrange_form(handler.resolve_ref_schema(schema))
        return schema


def arrange_form(schema: dict[str, Any]) -> None:
    """Arrange a model's schema, in place: required fields first, then the declared order; plain optional fields; no
    credentials in URLs.

    The UI draws a field that is a number or None as two tabs. Here it is a number that may be left empty. The Prefect
    server accepts None for every field that is neither required nor has a default. A choice has None among its values.
    """
    required = schema.get("required", [])
    fields = schema.get("properties", {})
    for position, name in enumerate(sorted(fields, key=lambda name: name not in required)):
        field = fields[name]
        flatten_optional(field)
        refuse_credentials(field)
        field["position"] = position
        if isinstance(field.get("default"), int | float | str):
            default = str(field["default"]).lower() if isinstance(field["default"], bool) else field["default"]
            field["description"] = f"{field.get('description', '')} (default: {default})"


def flatten_optional(field: dict[str, Any]) -> None:
    """Replace "either this or null" in a field's schema by this, without a default."""
    choices = [choice for choice in field.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1 and len(field["anyOf"]) == 2 and field.get("default") is None:
        del field["anyOf"], field["default"]
        field.update(choices[0])


def refuse_credentials(field: dict[str, Any]) -> None:
    """Let a text's schema match no URL with credentials, so that Prefect's server refuses it and does not keep it."""
    for text in (field, field.get("items", {})):
        if text.get("type") == "string" and "enum" not in text:
            text["pattern"] = NO_SECRET
