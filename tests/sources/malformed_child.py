"""Reads every file below a folder, with limits on memory; prints one JSON line a file. Run as a child process."""

import json
import resource
import sys
import warnings
from pathlib import Path

from medplug import sources
from medplug.errors import SourceError
from medplug.result import Rejected

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (1536 << 20, 1536 << 20))
    warnings.simplefilter("error")
    for found in sources.read(sys.argv[1]):
        outcome, reason = "read", ""
        if isinstance(found, Rejected):
            outcome, reason = type(found.outcome).__name__, found.outcome.reason
        else:
            try:
                found.image.read()
            except SourceError as error:
                outcome, reason = "Refused", str(error)
        print(json.dumps([found.reference.source, outcome, reason]), flush=True)
    # Not getrusage: its peak is inherited from the process that started this one.
    [peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
    print(json.dumps(int(peak)))
