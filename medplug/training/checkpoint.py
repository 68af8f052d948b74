"""Checkpoints: everything that the next training step depends on, as safetensors with JSON in its header. No pickle.

Two are kept. `last` is where the training stands. `stable` is where the learning rate began to fall: nothing in it
depends on how many steps were planned, so a training towards more steps continues there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import CallError, TrainingError
from ..figures import HistoryPoint
from ..model_folder import write_whole
from .schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor

FOLDER, LAST, STABLE = "checkpoint", "last.safetensors", "stable.safetensors"


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint holds besides tensors. `made_from` must be the same when it is resumed.

    `steps` are provisional until they are `planned`: a budget was still being measured. `position` is the place in the
    sampler's stream, `waited` counts validations since the best, and `summed` the steps over which losses have been
    added up since the last point of the history.
    """

    made_from: dict[str, Any]
    step: int
    steps: int
    planned: bool
    position: int
    batch_size: int
    seconds: float
    best_step: int
    best_loss: float | None
    waited: int
    history: tuple[HistoryPoint, ...]
    summed: int
    optimizers: dict[str, Any]
    preprocessing: dict[str, Any]
    format: int = 1


def write(path: Path, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint whole or not at all."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_whole(path, save(copies, metadata={"state": msgspec.json.encode(state).decode()}))


def read_state(path: Path) -> State | None:
    """Return what a checkpoint says, without its tensors; None where there is none."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return msgspec.json.decode((file.metadata() or {}).get("state", ""), type=State)
    except (SafetensorError, OSError, msgspec.DecodeError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read: {error}. Train anew, into another folder"
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a checkpoint's tensors, on the CPU."""
    from safetensors.torch import load_file

    return load_file(path)


def to_resume(output: Path, steps: int, schedule: Schedule) -> tuple[Path, State]:
    """Return the checkpoint from which a training of `steps` goes on as if never stopped.

    `CallError` when there is none.
    """
    last, stable = output / FOLDER / LAST, output / FOLDER / STABLE
    state = read_state(last)
    if state is None:
        raise CallError(f"{output} holds no checkpoint to resume: train without --resume")
    unfallen = state.step < state.steps and state.step <= min(map(schedule.falls_from, (state.steps, steps)))
    if steps == state.steps or unfallen:
        return last, state
    early = read_state(stable)
    if early is not None and early.step <= schedule.falls_from(steps):
        return stable, early
    raise CallError(
        f"{output} was trained for {state.steps} steps, and its learning rate has begun to fall towards that: "
        f"resume to {state.steps} steps or more, or train anew, into another folder"
    )


def check_same(state: State, made_from: Mapping[str, Any], output: Path) -> None:
    """Raise `CallError`, with the names, when a checkpoint was made with other settings or other data."""
    other = sorted(key for key in made_from.keys() | state.made_from if made_from.get(key) != state.made_from.get(key))
    if other:
        said = "; ".join(f"{key} was {state.made_from.get(key)!r} and is {made_from.get(key)!r}" for key in other)
        raise CallError(f"{output} cannot be resumed: {said}. Resume with the same settings, or train anew")
