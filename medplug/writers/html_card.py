"""The model card as a section of a report."""

from __future__ import annotations

from ..model_folder import Card
from .html_page import Section, fill
from .model_card import card_parts


def card_section(card: Card) -> Section:
    """Return the model card of a folder."""
    return Section(
        "Model card", fill("model_card.html", parts=card_parts(card)), "For whom this model is, and for whom not."
    )
