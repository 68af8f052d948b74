"""The PACS side: results go to it, and studies come from it to be answered."""

from __future__ import annotations

from .send import Sent, send

__all__ = ["Sent", "send"]
