"""A report taken apart, for the tests that look into it."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image as Picture


class Page(HTMLParser):
    """The tags, attributes and text of an HTML file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.source = file.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(self.source)
        self.text = re.sub(r"[ \n]+", " ", self.text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.text += " "
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data):
        if self.tags[-1:] != ["style"]:
            self.text += data

    def values(self, tag, name):
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]

    @property
    def pictures(self) -> list[np.ndarray]:
        """Every data URI, decoded."""
        uris = [value for _, name, value in self.attributes if name in ("href", "src") and value.startswith("data:")]
        return [decoded(uri) for uri in uris]


def decoded(uri: str) -> np.ndarray:
    """The pixels of a PNG in a data URI."""
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    with Picture.open(io.BytesIO(base64.b64decode(body))) as picture:
        picture.load()
        return np.asarray(picture)
