"""Everything that is settled before the first training step: options, contract, preprocessing and rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, cast

import msgspec
import numpy as np

from .. import plan
from ..case import Case, Image, Unit
from ..dataset import DataOptions, Dataset
from ..errors import CallError, PluginError, PreprocessingError, SourceError, TrainingError
from ..model import Constraint, InputContract, Labels, Model, Recipe, Survey, Task, Trainable
from ..model_folder import PluginReference, describe_plugin
from ..pipeline import Pipeline
from ..plugins import Offer, discover
from ..preprocessing import Preprocessing
from ..result import Refused, Rejected
from .leaks import Duplicates, without_leaks
from .pixel_cache import PixelCache
from .pretrained import Pretrained
from .progress import Report, TrainingProgress
from .settings import lay_over

RECIPE = "recipe."
"""What begins the settings that are the host's: `recipe.batch_size=16`."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model that is ready to learn, and the rows for it.

    `train` and `val` are what it learns and is judged by: of an anomaly model the normal rows alone. `validation` are
    all validation rows, for operating points. `left_out` are rows that the contract or the preprocessing refused.
    `leaks` says what is wrong with the rows all the same, `dropped` how many went since a later split has their images.
    """

    model: Trainable
    plugin: PluginReference
    recipe: Recipe
    contract: InputContract
    preprocessing: Preprocessing
    train: Dataset
    val: Dataset
    validation: Dataset
    dataset: Dataset
    normal: str | None
    left_out: tuple[Rejected, ...]
    notes: tuple[str, ...]
    leaks: tuple[str, ...] = ()
    dropped: int = 0
    pretrained: Pretrained | None = None

    @property
    def pipeline(self) -> Pipeline:
        """From a case to what the network sees."""
        return Pipeline(self.preprocessing, self.contract.images)

    def made_from(self, seed: int) -> dict[str, Any]:
        """Return, as plain data, what must be the same for a training to go on where it stopped."""
        recipe = {key: one for key, one in msgspec.to_builtins(self.recipe).items() if key not in ("steps", "epochs")}
        made: dict[str, Any] = msgspec.json.decode(
            msgspec.json.encode(
                {
                    "plugin": f"{self.plugin.distribution}:{self.plugin.name} {self.plugin.model_version}",
                    "options": self.model.options,
                    "recipe": recipe,
                    "labels": self.model.labels,
                    "contract": self.contract,
                    "data": self.dataset.order_sha256,
                    "rows": len(self.train),
                    "normal": self.normal,
                    "seed": seed,
                }
            )
        )
        return made if self.pretrained is None else {**made, "pretrained": self.pretrained.sha256}


@dataclass
class _Sorting:
    """Rows that stay and rows that cannot."""

    left_out: list[Rejected] = field(default_factory=list)

    def keep(self, dataset: Dataset, contract: InputContract, preprocessing: Preprocessing) -> Dataset:
        """Return the train and validation rows that the model takes, and its test rows as they are."""
        pipeline, stay = Pipeline(preprocessing, contract.images), []
        for row, case in enumerate(dataset.cases):
            refused = None
            if dataset.splits[row] != "test":
                refused = contract.admit(case) or _unplaced(pipeline, case)
            if refused is None:
                stay.append(row)
            else:
                self.left_out.append(Rejected(case.reference, refused))
        return dataset.take(stay)

    def readable(self, train: Dataset, name: str, preprocessing: Preprocessing) -> Dataset:
        """Return the rows from which `preprocessing` can be fitted: one broken file must not stop the others."""
        images = [case.images[name] for case in train.cases]
        with ThreadPoolExecutor(thread_name_prefix="medplug-fit") as pool:
            refusals = list(pool.map(lambda image: _unfitted(preprocessing, image), images))
        self.left_out += [
            Rejected(case.reference, refused) for case, refused in zip(train.cases, refusals) if refused is not None
        ]
        return train.take([row for row, refused in enumerate(refusals) if refused is None])


def offer_of(plugin: str | type[Trainable]) -> Offer:
    """Return what is installed under a name, or offers a class; `CallError` for a model that cannot be trained."""
    host = discover()
    if isinstance(plugin, str):
        offer = host.find(plugin)
    else:
        found = next((offer for offer in host.offers if offer.model is plugin), None)
        if found is None:
            raise PluginError(
                f"{plugin.__qualname__} is offered by no installed plugin, so nobody could load what is trained: "
                "install its distribution"
            )
        offer = found
    if not issubclass(offer.model, Trainable):
        raise CallError(
            f"{offer.name} cannot be trained: it is no medplug.Trainable; run it as it is, {offer.as_it_is}"
        )
    return offer


def unit_of(offer: Offer, settings: Mapping[str, object]) -> Unit:
    """Return what one case is for a model with these settings, before its labels are known."""
    return offer.model(_options(offer.model.Options(), settings, offer)).contract().unit


def fit(
    offer: Offer,
    dataset: Dataset,
    settings: Mapping[str, object],
    data_options: DataOptions,
    normal: str | None,
    preprocessing: Preprocessing | None = None,
    duplicates: Duplicates = "refuse",
    report: Report = lambda _: None,
) -> Fitted:
    """Fit a model's options and preprocessing to a dataset; `preprocessing` is given when a training goes on.

    Raises `CallError` for settings that do not fit, `TrainingError` for rows that cannot be learned from, and for
    images that stand in two splits where `duplicates` does not say what becomes of them.
    """
    cleared = without_leaks(
        _cached(dataset),
        duplicates,
        lambda done, of: report(TrainingProgress("looking for duplicates", images=(done, of))),
    )
    dataset = cleared.dataset
    report(TrainingProgress("fitting"))
    model = _model(offer, dataset, settings, data_options)
    contract = _contract(model, data_options)
    own = model.preprocessing()
    asked = preprocessing or own

    sorting = _Sorting()
    kept = sorting.keep(dataset, contract, asked)
    train, val, validation = kept.of("train"), kept.of("val"), kept.of("val")
    if normal is not None:
        index = _normal_index(model, normal)
        normal = model.labels.names[index]
        train, val = (rows.take(np.flatnonzero(rows.targets == index)) for rows in (train, val))
    if not len(train):
        why = f"; the first left out: {cast(Refused, sorting.left_out[0].outcome).reason}" if sorting.left_out else ""
        raise TrainingError(f"there are no rows to train on{f' with the label {normal!r}' if normal else ''}{why}")
    _same_shape([*train.cases, *validation.cases], Pipeline(asked, contract.images), asked)
    if not own.fitted:  # then a row that cannot be read is no training row, when a training goes on too
        train = sorting.readable(train, contract.images[0], own)
    if not asked.fitted:
        asked = plan.fit(asked, [case.images[contract.images[0]] for case in train.cases])
    return Fitted(
        model=model,
        plugin=describe_plugin(model, offer.distribution, offer.distribution_version),
        recipe=_recipe(model, settings),
        contract=contract,
        preprocessing=Preprocessing.from_json(asked.to_json()),  # as a folder would give it back
        train=train,
        val=val,
        validation=validation,
        dataset=kept,
        normal=normal,
        left_out=tuple(sorting.left_out),
        notes=(*cleared.notes, *_notes(model, kept, normal, sorting.left_out)),
        leaks=cleared.leaks,
        dropped=cleared.dropped,
    )


def _cached(dataset: Dataset) -> Dataset:
    """Rows that remember their pixels; test rows are looked at once."""
    cache = PixelCache()
    cases = (case if split == "test" else cache.case(case) for case, split in zip(dataset.cases, dataset.splits))
    return replace(dataset, cases=tuple(cases))


def _options(base: msgspec.Struct, settings: Mapping[str, object], offer: Offer) -> Any:
    own = {key: value for key, value in settings.items() if not key.startswith(RECIPE)}
    return lay_over(base, own, offer.name)


def _recipe(model: Trainable, settings: Mapping[str, object]) -> Recipe:
    own = {key.removeprefix(RECIPE): value for key, value in settings.items() if key.startswith(RECIPE)}
    return lay_over(model.recipe(), own, "the recipe")


def _model(offer: Offer, dataset: Dataset, settings: Mapping[str, object], data_options: DataOptions) -> Trainable:
    """The model with options that suit the training rows, and what the user set laid over them."""
    made = cast(type[Trainable], offer.model)
    train = dataset.of("train")
    if not len(train):
        raise TrainingError(f"the data has no training rows; its splits are {dataset.rows()}")
    first = made(_options(made.Options(), settings, offer), dataset.labels)
    suited = first.fit_options(_survey(train.cases, dataset.labels, data_options))
    return made(_options(suited, settings, offer), dataset.labels)


def _survey(cases: Iterable[Case], labels: Labels, options: DataOptions) -> Survey:
    images = [case.image for case in cases]
    [(dims, _)] = Counter(len(image.shape) for image in images).most_common(1)
    [(channels, _)] = Counter(image.channels for image in images).most_common(1)
    median = np.median([image.shape for image in images if len(image.shape) == dims], axis=0)
    return Survey(
        tuple(int(side) for side in median),
        channels,
        len(images),
        labels,
        modalities=_stated(options.modality, (image.modality for image in images)),
        body_parts=_stated(options.body_part, (image.body_part for image in images)),
    )


def _stated(named: tuple[str, ...], found: Iterable[str | None]) -> frozenset[str]:
    """What the user named, else what every row states."""
    stated = frozenset(named) or frozenset(one or "" for one in found)
    return frozenset() if "" in stated else stated


def _contract(model: Model, options: DataOptions) -> InputContract:
    contract = model.contract()
    if options.modality:
        contract = msgspec.structs.replace(contract, modality=Constraint(options.modality))
    if options.body_part:
        contract = msgspec.structs.replace(contract, body_part=Constraint(options.body_part))
    return contract


def _unplaced(pipeline: Pipeline, case: Case) -> Refused | None:
    """Why the preprocessing's geometry does not fit a case."""
    try:
        pipeline.shape(case)
    except PreprocessingError as error:
        return Refused(code=cast(Any, error.code), reason=str(error))
    return None


def _unfitted(preprocessing: Preprocessing, image: Image) -> Refused | None:
    """Why an image tells nothing to a preprocessing that is to be fitted."""
    try:
        plan.fit(preprocessing, [image])
    except (SourceError, PreprocessingError) as error:
        return Refused(code=cast(Any, error.code), reason=str(error))
    return None


def _normal_index(model: Model, normal: str) -> int:
    if model.task is not Task.ANOMALY:
        raise CallError(f"{model.name} is no anomaly model, so there is no normal label to train it on: leave it out")
    for names in (model.labels.names, model.labels.values):
        if normal in names:
            return names.index(normal)
    raise CallError(f"no row has the label {normal!r}, named as normal; the labels: {', '.join(model.labels.names)}")


def _same_shape(cases: Iterable[Case], pipeline: Pipeline, preprocessing: Preprocessing) -> None:
    """Raise `TrainingError`, with two cases, when they would not fit one batch."""
    seen: dict[tuple[tuple[int, ...], int], str] = {}
    for case in cases:
        channels = case.image.channels if preprocessing.channels == "stored" else 0
        seen.setdefault((pipeline.shape(case), channels), case.reference.source)
        if len(seen) > 1:
            (one, first), (other, second) = list(seen.items())
            differ = f"{one[0]} and {other[0]}" if one[0] != other[0] else f"{one[1]} and {other[1]} channels"
            raise TrainingError(
                f"training wants cases of one shape, and {first} and {second} become {differ}: "
                "let the preprocessing resize or crop them, or choose its channels"
            )


def _notes(model: Model, kept: Dataset, normal: str | None, left_out: list[Rejected]) -> Iterable[str]:
    yield from kept.notes
    if left_out:
        first = left_out[0]
        yield (
            f"{len(left_out)} rows are left out, since the model cannot take them; the first is "
            f"{first.reference.source}: {cast(Refused, first.outcome).reason}"
        )
    if model.task is Task.ANOMALY:  # it learns no labels
        if normal is None and len(kept.labels.names) > 1:
            yield (
                f"all rows are learned as normal, whichever of {', '.join(kept.labels.names)} they are: name the label "
                "of normal ones (--normal, normal)"
            )
        return
    learned = kept.of("train").targets
    if learned.dtype == np.int64:
        for index, name in enumerate(kept.labels.names):
            if not (learned == index).any() and (learned >= 0).any():
                yield f"no training row has the label {name!r}: it cannot be learned"
