"""Weights that a training starts from: tensors of a safetensors file, taken where name and shape fit the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CallError, ModelFolderError
from ..model import Trainable
from ..model_folder import WEIGHTS, PretrainedRecord, read_tensors, sha256_of

if TYPE_CHECKING:
    from torch import Tensor, nn

_NAMED = 4  # tensors that a message names


@dataclass(frozen=True, eq=False)
class Pretrained:
    """The tensors of one file, and its SHA-256: where it lay does not matter any more."""

    tensors: Mapping[str, Tensor]
    sha256: str

    def load_into(self, model: Trainable, network: nn.Module) -> tuple[PretrainedRecord, str]:
        """Copy what fits into `network`; return what the card says of it, and what to tell the user.

        `CallError` when less than half of the network's tensors are found: then the file is of another network.
        """
        import torch

        own = network.state_dict()
        offered = model.adapt_weights(network, self.tensors)
        fits = {
            name: offered[name]
            for name, mine in own.items()
            if name in offered
            and offered[name].shape == mine.shape
            and offered[name].is_floating_point() == mine.is_floating_point()
        }
        fresh = [name for name in own if name not in fits]
        record = PretrainedRecord(sha256=self.sha256, loaded=len(fits), tensors=len(own))
        if 2 * len(fits) < len(own):
            raise CallError(
                f"the pretrained weights are of another network: {len(fits)} of the {len(own)} tensors of "
                f"{model.name} fit them. It wants {_shown(own, fresh)}; the file has "
                f"{_shown(self.tensors, [name for name in self.tensors if name not in fits])}"
            )
        odd = [name for name, one in fits.items() if not bool(torch.isfinite(one).all())]
        if odd:
            raise CallError(f"the pretrained weights hold numbers that are not finite, in {', '.join(odd[:_NAMED])}")
        network.load_state_dict(fits, strict=False)
        begun = f"; these start fresh: {_shown(own, fresh)}" if fresh else ""
        return record, f"pretrained weights: {len(fits)} of {len(own)} tensors were taken over{begun}"


def read(path: str | Path) -> Pretrained:
    """Read a safetensors file, or the weights of a model folder; `CallError` when there are none."""
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    if not file.is_file():
        raise CallError(f"{path} holds no pretrained weights: name a safetensors file, or a model folder")
    try:
        tensors = read_tensors(file)
    except ModelFolderError as error:
        raise CallError(f"{error}; pretrained weights are read from safetensors files alone") from error
    return Pretrained(tensors, sha256_of(file))


def _shown(tensors: Mapping[str, Tensor], names: list[str]) -> str:
    """Some tensors by name and shape."""
    named = [f"{name} {list(tensors[name].shape)}" for name in names[:_NAMED]]
    return ", ".join(named) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "") if named else "none"
