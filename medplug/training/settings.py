"""What the user sets as `key=value`, laid over typed options. Unknown keys and wrong values are refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from ..errors import CallError

S = TypeVar("S", bound=msgspec.Struct)


def lay_over(base: S, settings: Mapping[str, object], of: str) -> S:
    """Return `base` with `settings`; texts are read as the fields' types. `CallError` says which options `of` has."""
    fields = {field.name: field for field in msgspec.structs.fields(base)}
    changes = {}
    for key, value in settings.items():
        if key not in fields:
            near = get_close_matches(key, fields, 1)
            hint = f"did you mean {near[0]!r}? It has " if near else "it has "
            known = ", ".join(
                f"{name}: {type_name(field.type)} = {getattr(base, name)!r}" for name, field in fields.items()
            )
            raise CallError(f"{of} has no option {key!r}; {hint}{known or 'none'}")
        try:
            changes[key] = (
                _parse(value, fields[key].type) if isinstance(value, str) else _strictly(value, fields[key].type)
            )
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise CallError(
                f"{of}: option {key} is {type_name(fields[key].type)}, and {value!r} is none: {error}"
            ) from None
    try:
        return msgspec.structs.replace(base, **changes)
    except ValueError as error:
        raise CallError(f"{of}: {error}") from None


def type_name(kind: Any) -> str:
    """Return a field's type as a person writes it."""
    return (
        kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind).replace("typing.", "")
    )


def _strictly(value: object, kind: Any) -> Any:
    return msgspec.convert(msgspec.to_builtins(value), kind)


def _parse(text: str, kind: Any) -> Any:
    """Read a text as a value, as JSON, or as a list with commas, whichever the type takes first."""
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        first = error
    try:
        return msgspec.json.decode(text.encode(), type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError):
        pass
    try:
        return msgspec.convert([part.strip() for part in text.split(",")], kind, strict=False)
    except msgspec.ValidationError:
        raise first from None
