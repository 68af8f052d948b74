"""A node that does not outlive an object."""

from __future__ import annotations

from ..errors import NodeError
from .address import Address


class BrokeOffError(NodeError):
    """A node could be talked to, and broke off or failed on one object: it may well take the next.

    `reason` says how, without the node's name.
    """

    def __init__(self, node: Address, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.reason = reason
