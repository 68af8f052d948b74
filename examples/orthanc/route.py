"""For Orthanc's Python plugin: a series that is complete goes to `medplug listen`, again and again until it is there.

Set in Orthanc's configuration:

    "PythonScript": "route.py",
    "DicomModalities": {"medplug": ["LISTENER", "127.0.0.1", 11112]},
    "StableAge": 30,
    "medplug": {"RetrySeconds": 30}

A series is complete when nothing new has come for `StableAge` seconds. What medplug made is not sent back to it. Series
that wait are noted as empty files in the folder `medplug-pending` of Orthanc's storage: a restart forgets none.
"""

import json
import threading
from pathlib import Path

import orthanc

CONFIGURATION = json.loads(orthanc.GetConfiguration())
RETRY_SECONDS = CONFIGURATION.get("medplug", {}).get("RetrySeconds", 30)
PENDING = Path(CONFIGURATION.get("StorageDirectory", "OrthancStorage"), "medplug-pending")
NODE = "medplug"
wake = threading.Event()


def on_change(change, level, resource):
    if change == orthanc.ChangeType.STABLE_SERIES:
        series = json.loads(orthanc.RestApiGet(f"/series/{resource}"))
        if series["MainDicomTags"].get("Manufacturer") != "medplug":
            (PENDING / resource).touch()
            wake.set()
    elif change == orthanc.ChangeType.DELETED and level == orthanc.ResourceType.SERIES:
        (PENDING / resource).unlink(missing_ok=True)


def send(series):
    noted = series.stat().st_mtime_ns
    order = {"Resources": [series.name], "Synchronous": True}
    orthanc.RestApiPost(f"/modalities/{NODE}/store", json.dumps(order))
    if series.stat().st_mtime_ns == noted:  # else something new has come meanwhile
        series.unlink()


def work():
    while True:
        failed = False
        wake.clear()
        for series in sorted(PENDING.iterdir()):
            try:
                send(series)
            except (orthanc.OrthancException, OSError) as error:
                failed = True
                orthanc.LogWarning(f"a series waits for the node {NODE}: {error}")
        wake.wait(RETRY_SECONDS if failed else None)


PENDING.mkdir(parents=True, exist_ok=True)
threading.Thread(target=work, daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
