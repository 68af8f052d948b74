"""Which decoder reads which transfer syntax, and which package would bring a missing one."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import Any

from ..errors import SourceError
from .refusal import clean

EXTRA = "pip install 'medplug[codecs]'"
_JPEG_EXTENDED_12_BIT = "1.2.840.10008.1.2.4.51"


@cache
def _register_imagecodecs() -> bool:
    """Offer imagecodecs to pydicom, once in a process; whether it is installed."""
    if importlib.util.find_spec("imagecodecs") is None:
        return False
    from pydicom.pixels.decoders.base import get_decoder

    from . import imagecodecs_plugin

    for uid in imagecodecs_plugin.SYNTAXES:
        decoder = get_decoder(uid)
        if "imagecodecs" not in decoder.available_plugins:
            decoder.add_plugin("imagecodecs", (imagecodecs_plugin.__name__, "decode_frame"))
    return True


def decoder_for(transfer_syntax: str, bits_stored: int) -> Any:
    """pydicom's decoder of a transfer syntax, or a refusal (`decoder`) that says what would read it."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    has_imagecodecs = _register_imagecodecs()
    uid = UID(transfer_syntax)
    known = uid.name != str(uid)
    label = f"{uid.name} ({uid})" if known else f"{clean(uid, 64)!r}, which DICOM does not define"
    try:
        decoder = get_decoder(uid)
    except NotImplementedError:
        reason = f"no decoder reads the transfer syntax {label}"
        raise SourceError("decoder", f"{reason}; convert the file to an uncompressed transfer syntax") from None
    # Pillow claims JPEG Extended and decodes its 8-bit files only.
    lacks_12_bit = uid == _JPEG_EXTENDED_12_BIT and bits_stored > 8 and not has_imagecodecs
    if lacks_12_bit or not decoder.is_available:
        raise SourceError("decoder", f"no installed decoder reads the transfer syntax {label}: {EXTRA}")
    return decoder
