"""What the host demands of a plugin before it uses it. Every breach is a `PluginError` that names the way out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
import pluggy

from .errors import PluginError
from .hookspecs import PROJECT
from .model import NO_LABELS, Generative, Model, ModelOptions, Task

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


def refuse_misspelt(plugin: object, plugins: pluggy.PluginManager, hooks: Sequence[str]) -> None:
    """Refuse a plugin with a hook that nobody would ever call, or without any hook."""
    implemented = list(_implemented(plugin, plugins, hooks))
    if not implemented:
        raise PluginError("it implements no hook; mark a function medplug_register_models with @medplug.hookimpl")


def _implemented(plugin: object, plugins: pluggy.PluginManager, hooks: Sequence[str]) -> Iterator[str]:
    for name in dir(plugin):
        options = plugins.parse_hookimpl_opts(plugin, name)
        if options is None:
            if name.startswith(f"{PROJECT}_") and inspect.isroutine(getattr(plugin, name)):
                raise PluginError(
                    f"{name} is not marked as a hook; put @medplug.hookimpl above it"
                    if name in hooks
                    else _no_hook(name, hooks)
                )
            continue
        hook = options.get("specname") or name
        if hook not in hooks:
            if options.get("optionalhook"):
                continue
            raise PluginError(_no_hook(hook, hooks))
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(f"{name} is a hook wrapper; a plugin answers for itself alone, so make it a plain hook")
        yield hook


def _no_hook(name: str, hooks: Sequence[str]) -> str:
    near = get_close_matches(name, hooks, n=1)
    return f"{name} is no hook; " + (f"did you mean {near[0]}" if near else f"the hooks are {', '.join(hooks)}")


def items(hook: str, answer: Any) -> list[Any]:
    """Return what a hook returned as a list, or refuse what is no iterable, or an empty one."""
    if isinstance(answer, str | bytes | type) or not isinstance(answer, Iterable):
        raise PluginError(f"{hook} returned {_brief(answer)}; it must return a list")
    found = list(answer)
    if not found:
        raise PluginError(f"{hook} returned nothing; leave the hook out if there is nothing to offer")
    return found


def check_model(model: object) -> type[Model]:
    """Return the model class if it keeps the contract; nothing of it is instantiated."""
    if not isinstance(model, type) or not issubclass(model, Model):
        raise PluginError(f"medplug_register_models returned {_brief(model)}, which is no subclass of medplug.Model")
    title = model.__qualname__
    missing = sorted(getattr(model, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{title} lacks {', '.join(missing)}")
    _check_words(model, title)
    _check_options(model, title)
    try:
        inspect.signature(model).bind(None, NO_LABELS)
    except TypeError as error:
        raise PluginError(f"{title} cannot be made as {title}(options, labels): {error}") from error
    return model


def _check_words(model: type[Model], title: str) -> None:
    name, version, task = (getattr(model, field, None) for field in ("name", "version", "task"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(
            f"{title}.name is {name!r}; it must be lower-case words joined by hyphens, like 'lung-nodule'"
        )
    if not isinstance(version, str) or not version.strip():
        raise PluginError(f"{title}.version is {version!r}; it must be a text like '1.0'")
    if not isinstance(task, Task):
        raise PluginError(f"{title}.task is {task!r}; it must be one of medplug.Task, like Task.REGRESSION")
    if task is Task.GENERATION and not issubclass(model, Generative):
        raise PluginError(f"{title}.task is GENERATION, so it must be a subclass of medplug.Generative")


def _check_options(model: type[Model], title: str) -> None:
    """Options come from `--set key=value` and go into model.json: typed, defaulted, strict, and never changed."""
    options: Any = model.Options
    if not isinstance(options, type) or not issubclass(options, ModelOptions):
        raise PluginError(f"{title}.Options is {_brief(options)}; it must be a subclass of medplug.ModelOptions")
    settings = options.__struct_config__
    if not (settings.frozen and settings.forbid_unknown_fields):
        raise PluginError(f"{title}.Options must stay frozen and refuse unknown fields, as medplug.ModelOptions does")
    required = [field.name for field in msgspec.structs.fields(options) if field.required]
    if required:
        raise PluginError(f"{title}.Options needs a default for {', '.join(required)}")
    try:
        msgspec.json.schema(options)
    except (TypeError, NameError) as error:
        raise PluginError(f"{title}.Options cannot be stored as JSON: {error}") from error


def check_source(source: Any) -> Any:
    """Return the reader if it has what `medplug.sources.Source` asks for."""
    if isinstance(source, type):
        raise PluginError(f"medplug_register_sources returned the class {_brief(source)}; return an instance of it")
    missing = [method for method in ("accepts", "read") if not callable(getattr(source, method, None))]
    if missing:
        raise PluginError(f"medplug_register_sources returned {_brief(source)}, which lacks {', '.join(missing)}")
    return source


def check_writer(writer: Any) -> Any:
    """Return the class if `--write` can name it and it has what `medplug.writers.Writer` asks for."""
    if not isinstance(writer, type):
        raise PluginError(f"medplug_register_writers returned {_brief(writer)}; return a class")
    title, name = writer.__qualname__, getattr(writer, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f"{title}.name is {name!r}; it must be lower-case words joined by hyphens")
    required = {method for method in ("write", "close", "discard") if not callable(getattr(writer, method, None))}
    missing = sorted(required | getattr(writer, "__abstractmethods__", set()))
    if missing:
        raise PluginError(f"{title} lacks {', '.join(missing)}; make it a subclass of medplug.writers.Writer")
    return writer


def _brief(value: object) -> str:
    text = value.__qualname__ if isinstance(value, type) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
