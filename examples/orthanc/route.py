"""For Orthanc's Python plugin: a series that is complete goes to `medplug listen`, again and again until it is there.

Set in Orthanc's configuration:

    "PythonScript": "route.py",
    "DicomModalities": {"medplug": ["LISTENER", "127.0.0.1", 11112]},
    "StableAge": 30,
    "medplug": {"RetrySeconds": 30}

A series is complete when nothing new has come for `StableAge` seconds. What medplug made is not sent back to it.
"""

import json
import threading

import orthanc

SETTINGS = json.loads(orthanc.GetConfiguration()).get("medplug", {})
RETRY_SECONDS = SETTINGS.get("RetrySeconds", 30)
NODE = "medplug"


def on_change(change, level, resource):
    if change == orthanc.ChangeType.STABLE_SERIES:
        series = json.loads(orthanc.RestApiGet(f"/series/{resource}"))
        if series["MainDicomTags"].get("Manufacturer") != "medplug":
            order = {"Resources": [resource], "Synchronous": False}
            orthanc.RestApiPost(f"/modalities/{NODE}/store", json.dumps(order))
    elif change == orthanc.ChangeType.JOB_FAILURE:
        job = json.loads(orthanc.RestApiGet(f"/jobs/{resource}"))
        if job["Type"] == "DicomModalityStore" and job["Content"].get("RemoteAet") is not None:
            threading.Timer(RETRY_SECONDS, orthanc.RestApiPost, [f"/jobs/{resource}/resubmit", ""]).start()


orthanc.RegisterOnChangeCallback(on_change)
