"""Writers: answers become files. A plugin brings more of them through `medplug_register_writers`."""

from .json_lines import JsonLines, read_results
from .writer import Writer

__all__ = ["JsonLines", "Writer", "builtin", "read_results"]


def builtin() -> dict[str, type[Writer]]:
    """Return medplug's own writers by the name that `--write` gives them."""
    return {writer.name: writer for writer in (JsonLines,)}
