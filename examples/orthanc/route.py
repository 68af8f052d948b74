"""For Orthanc's Python plugin: a series that is complete goes to `medplug listen`, again and again until it is there.

Set in Orthanc's configuration:

    "PythonScript": "route.py",
    "DicomModalities": {"medplug": ["LISTENER", "127.0.0.1", 11112]},
    "StableAge": 30,
    "medplug": {"RetrySeconds": 30}

A series is complete when nothing new has come for `StableAge` seconds. What medplug made is not sent back to it. Series
that arrive or wait are noted as empty files in Orthanc's storage, since Orthanc itself forgets at a restart what was
arriving.
"""

import json
import threading
from pathlib import Path

import orthanc

CONFIGURATION = json.loads(orthanc.GetConfiguration())
RETRY_SECONDS = CONFIGURATION.get("medplug", {}).get("RetrySeconds", 30)
ARRIVING, WAITING = (
    Path(CONFIGURATION.get("StorageDirectory", "OrthancStorage"), name)
    for name in ("medplug-arriving", "medplug-waiting")
)
NODE = "medplug"
wake = threading.Event()


def on_change(change, level, resource):
    if change == orthanc.ChangeType.NEW_CHILD_INSTANCE and level == orthanc.ResourceType.SERIES:
        (ARRIVING / resource).touch()
    elif change == orthanc.ChangeType.STABLE_SERIES:
        (WAITING / resource).touch()
        (ARRIVING / resource).unlink(missing_ok=True)
        wake.set()
    elif change == orthanc.ChangeType.DELETED and level == orthanc.ResourceType.SERIES:
        (ARRIVING / resource).unlink(missing_ok=True)
        (WAITING / resource).unlink(missing_ok=True)
    elif change == orthanc.ChangeType.ORTHANC_STARTED:
        threading.Thread(target=work, daemon=True).start()


def send(series):
    noted = series.stat().st_mtime_ns
    tags = json.loads(orthanc.RestApiGet(f"/series/{series.name}"))["MainDicomTags"]
    if tags.get("Manufacturer") != "medplug":
        order = {"Resources": [series.name], "Synchronous": True}
        answer = orthanc.RestApiPost(f"/modalities/{NODE}/store", json.dumps(order))
        if not answer or json.loads(answer)["FailedInstancesCount"]:  # Orthanc stops, and says nothing of it
            raise OSError("broken off")
    if series.stat().st_mtime_ns == noted:  # else something new has come meanwhile
        series.unlink()


def work():
    while True:
        failed = False
        wake.clear()
        for series in sorted(WAITING.iterdir()):
            try:
                send(series)
            except (orthanc.OrthancException, OSError) as error:
                failed = True
                orthanc.LogWarning(f"a series waits for the node {NODE}: {error}")
        wake.wait(RETRY_SECONDS if failed else None)


for folder in (ARRIVING, WAITING):
    folder.mkdir(parents=True, exist_ok=True)
for left in ARRIVING.iterdir():
    left.rename(WAITING / left.name)
orthanc.RegisterOnChangeCallback(on_change)
