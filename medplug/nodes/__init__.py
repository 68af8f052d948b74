"""Nodes of a DICOM network: how they are addressed, asked and sent to, by DIMSE and by DICOMweb."""

from .address import Address, is_address
from .retrieve import Retrieved, retrieve

__all__ = ["Address", "Retrieved", "is_address", "retrieve"]
