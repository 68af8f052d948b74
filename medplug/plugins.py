"""The plugin host: finds the installed plugins, sets the broken ones aside, and looks models up by name."""

from __future__ import annotations

import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pluggy
from packaging.utils import canonicalize_name

from . import hookspecs
from .errors import PluginError
from .hookspecs import OWN_WRITERS, PROJECT
from .installed import Declared, declared_plugins, refuse_other_host, words
from .model import Model, Task, model_kind
from .plugin_contract import check_model, check_source, check_writer, items, refuse_misspelt

if TYPE_CHECKING:
    from .sources import Source
    from .writers import Writer

HOOKS = tuple(sorted(name for name in vars(hookspecs) if name.startswith(f"{PROJECT}_")))

_log = logging.getLogger(__name__)
_stdout_lock = threading.RLock()  # sys.stdout is the process's: two that redirect it at once restore it wrongly


@dataclass(frozen=True)
class Offer:
    """A model that an installed plugin offers.

    `distribution` is the normalised name of what was installed, `kind` one of trainable, fixed and generative. `note`
    says why the bare name does not reach this model, None where it does; `qualified` always reaches it.
    """

    name: str
    distribution: str
    distribution_version: str
    model: type[Model]
    task: Task
    kind: str
    note: str | None = None

    @property
    def qualified(self) -> str:
        """The name that no other distribution can take: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    @property
    def as_it_is(self) -> str:
        """How a model without anything to learn is run, in Python."""
        name = self.model.__name__
        return f"`medplug.Session({name}()).run(SOURCE)`, with {name} of {self.model.__module__}"


@dataclass(frozen=True)
class Quarantined:
    """An entry point that is not used, and why."""

    entry_point: str
    distribution: str
    reason: str


class Host:
    """The plugins of this environment. What they offer is settled; only observers may still drop out."""

    def __init__(
        self,
        plugins: pluggy.PluginManager,
        offers: Sequence[Offer],
        quarantined: Sequence[Quarantined],
        sources: Sequence[Source],
        writers: Sequence[type[Writer]],
    ) -> None:
        self.offers = tuple(offers)
        self.quarantined = tuple(quarantined)
        self._plugins = plugins
        self._sources = tuple(sources)
        self._writers = tuple(writers)
        self._lock = threading.Lock()

    @property
    def hook(self) -> pluggy.HookRelay:
        """pluggy's own relay. `notify` is the way to ask observers: an error in one passes through this one."""
        return self._plugins.hook

    def sources(self) -> tuple[Source, ...]:
        """Return the readers that plugins registered."""
        return self._sources

    def writers(self) -> tuple[type[Writer], ...]:
        """Return the writers that plugins registered."""
        return self._writers

    def find(self, name: str) -> Offer:
        """Return the model called `name` or `distribution:name`; raise `PluginError` when it is not exactly one."""
        distribution, qualified, model = name.rpartition(":")
        if qualified:
            distribution = canonicalize_name(distribution)
            matches = [offer for offer in self.offers if (offer.distribution, offer.name) == (distribution, model)]
        else:
            matches = [offer for offer in self.offers if offer.name == name]
        usable = [offer for offer in matches if qualified or offer.note is None]
        if len(usable) == 1:
            return usable[0]
        problem = f"no model named {name!r}"
        if matches:
            problem = f"{name!r} alone is not enough; say {' or '.join(offer.qualified for offer in matches)}"
        raise PluginError("; ".join([problem, *self._hints(distribution, model, guess=not matches)]))

    def _hints(self, distribution: str, model: str, *, guess: bool) -> Iterator[str]:
        for plugin in self.quarantined:
            if distribution == plugin.distribution or (
                not distribution and model in (plugin.entry_point, plugin.distribution)
            ):
                yield f"{plugin.distribution}:{plugin.entry_point} is in quarantine: {plugin.reason}"
        names = [offer.name if offer.note is None else offer.qualified for offer in self.offers]
        if guess:
            for near in get_close_matches(f"{distribution}:{model}" if distribution else model, names, n=1):
                yield f"did you mean {near!r}"
        yield f"installed: {', '.join(names) or 'none'}"

    def notify(self, hook: str, **arguments: object) -> None:
        """Tell every observer of `hook`, one by one. One that raises is reported once, and asked no more."""
        caller: pluggy.HookCaller = getattr(self._plugins.hook, hook)
        for implementation in reversed(caller.get_hookimpls()):
            values = [arguments[name] for name in implementation.argnames]
            try:
                implementation.function(*values)
            except (Exception, SystemExit) as error:
                self._dismiss(implementation.plugin, hook, error)

    def _dismiss(self, plugin: object, hook: str, error: BaseException) -> None:
        with self._lock:
            name = self._plugins.get_name(plugin)
            if name is None:  # another thread was faster
                return
            self._plugins.unregister(plugin)
        _log.warning("the plugin %s failed in %s and is asked no more: %s", name, hook, words(error))


def discover(only: str | None = None) -> Host:
    """Import the installed plugins, or those of the distribution `only` alone, and return what they offer.

    What is broken is in the host's `quarantined`; nothing that a plugin does stops the others. Raises `PluginError`
    when the distribution `only` declares no plugin.
    """
    declared, unreadable = declared_plugins()
    own_names = {plugin.entry_point.name for plugin in declared if plugin.distribution == PROJECT}
    if only is not None:
        wanted = canonicalize_name(only)
        installed = sorted({plugin.distribution for plugin in declared})
        declared = [plugin for plugin in declared if plugin.distribution == wanted]
        unreadable = {name: reason for name, reason in unreadable.items() if name == wanted}
        if not declared and not unreadable:
            raise PluginError(f"no plugin distribution {only!r} is installed; installed: {', '.join(installed)}")
    quarantined = [Quarantined("entry_points.txt", name, reason) for name, reason in unreadable.items()]
    gathered = _Gathered()
    for plugin in declared:
        try:
            with _stdout_lock, redirect_stdout(sys.stderr):  # standard output is for results
                gathered.admit(plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            reason = " ".join(str(error).split()) if isinstance(error, PluginError) else words(error)
            quarantined.append(Quarantined(plugin.entry_point.name, plugin.distribution, reason))
    return Host(
        gathered.plugins,
        _settle_names(gathered.offers, own_names),
        sorted(quarantined, key=lambda plugin: (plugin.distribution, plugin.entry_point)),
        gathered.sources,
        gathered.writers,
    )


@dataclass
class _Gathered:
    """What the plugins admitted so far have given."""

    plugins: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager(PROJECT))
    offers: list[Offer] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    writers: list[type[Writer]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.plugins.add_hookspecs(hookspecs)

    def admit(self, declared: Declared) -> None:
        """Import one plugin, check it and take what it offers: all of that, or nothing."""
        if declared.distribution != PROJECT:
            refuse_other_host(declared.requirements, metadata.version(PROJECT))
        plugin = _imported(declared.entry_point)
        refuse_misspelt(plugin, self.plugins, HOOKS)
        other = self.plugins.get_name(plugin)
        if other is not None:
            raise PluginError(f"{declared.entry_point.value} is already the plugin {other}; every plugin needs its own")
        self.plugins.register(plugin, f"{declared.distribution}:{declared.entry_point.name}")
        try:
            offers = self._offers(plugin, declared)
            sources = [check_source(source) for source in self._answers(plugin, "medplug_register_sources")]
            writers = self._new_writers(plugin)
        except BaseException:
            self.plugins.unregister(plugin)
            raise
        self.offers += offers
        self.sources += sources
        self.writers += writers

    def _offers(self, plugin: object, declared: Declared) -> list[Offer]:
        models = [check_model(model) for model in self._answers(plugin, "medplug_register_models")]
        taken = Counter(offer.name for offer in self.offers if offer.distribution == declared.distribution)
        taken.update(model.name for model in models)
        for model in models:
            if taken[model.name] > 1:
                raise PluginError(f"the distribution offers {model.name!r} twice; give one of the models another name")
        return [
            Offer(
                name=model.name,
                distribution=declared.distribution,
                distribution_version=declared.version,
                model=model,
                task=model.task,
                kind=model_kind(model),
            )
            for model in models
        ]

    def _new_writers(self, plugin: object) -> list[type[Writer]]:
        """The writers of one plugin; each name stands for one writer, since `--write` has no longer form of it."""
        writers = [check_writer(writer) for writer in self._answers(plugin, "medplug_register_writers")]
        if not writers:
            return []
        taken = {writer.name: writer for writer in self.writers}
        for writer in writers:
            other = "medplug's own" if writer.name in OWN_WRITERS else taken.get(writer.name)
            if other is not None:
                bearer = other if isinstance(other, str) else f"that of {other.__module__}.{other.__qualname__}"
                raise PluginError(
                    f"{writer.__qualname__}.name is {writer.name!r}, which is {bearer}; give the writer another name"
                )
            taken[writer.name] = writer
        return writers

    def _answers(self, plugin: object, hook: str) -> list[Any]:
        """Ask one plugin alone, so that what it raises is known to be its own."""
        caller: pluggy.HookCaller = getattr(self.plugins.hook, hook)
        answers: list[Any] = []
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                try:
                    answers += items(hook, implementation.function())
                except (PluginError, KeyboardInterrupt):
                    raise
                except BaseException as error:
                    raise PluginError(f"{hook} failed: {words(error)}") from error
        return answers


def _imported(entry_point: metadata.EntryPoint) -> object:
    try:
        return entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{entry_point.value} cannot be imported: {words(error)}") from error


def _settle_names(offers: Iterable[Offer], own_names: set[str]) -> list[Offer]:
    """Note at each offer whose bare name is not its own how it is reached, and sort by name."""
    offers = list(offers)
    own_names = own_names | {offer.name for offer in offers if offer.distribution == PROJECT}
    bearers = Counter(offer.name for offer in offers)
    settled = []
    for offer in offers:
        note = None
        if offer.distribution != PROJECT and offer.name in own_names:
            note = f"the name {offer.name!r} is medplug's own; use {offer.qualified}"
        elif offer.distribution != PROJECT and bearers[offer.name] > 1:
            note = f"several distributions offer {offer.name!r}; use {offer.qualified}"
        settled.append(replace(offer, note=note))
    return sorted(settled, key=lambda offer: (offer.name, offer.distribution))
