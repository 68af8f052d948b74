"""For Orthanc's Python plugin: medplug inside Orthanc. A complete study is answered, and the results stand beside it.

Set in Orthanc's configuration:

    "PythonScript": "answer.py",
    "StableAge": 30,
    "medplug": {"Model": "/models/xray", "Write": ["dicom-sr", "dicom-seg"]}

and start Orthanc with PYTHONPATH naming the folder in which medplug is installed. A study that is being answered when
Orthanc stops is answered when it changes again; `medplug listen` forgets none.
"""

import json
import queue
import tempfile
import threading
from pathlib import Path

import orthanc

SETTINGS = json.loads(orthanc.GetConfiguration())["medplug"]
studies = queue.Queue()


def on_change(change, level, resource):
    if change == orthanc.ChangeType.STABLE_STUDY:
        studies.put(resource)


def sources(study):
    """The instances of a study that medplug did not make."""
    for series in json.loads(orthanc.RestApiGet(f"/studies/{study}/series")):
        if series["MainDicomTags"].get("Manufacturer") != "medplug":
            yield from series["Instances"]


def answer(model, instances):
    import medplug

    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "study"), Path(folder, "results")
        source.mkdir()
        for instance in instances:
            (source / f"{instance}.dcm").write_bytes(orthanc.RestApiGet(f"/instances/{instance}/file"))
        medplug.run(model, source, output, write=SETTINGS["Write"])
        for file in sorted(output.glob("dicom-*/*.dcm")):
            orthanc.RestApiPost("/instances", file.read_bytes())


def work():
    from medplug import model_folder

    model = model_folder.load(SETTINGS["Model"])  # once: it stays in memory
    answered = {}
    while True:
        study = studies.get()
        try:
            instances = sorted(sources(study))
            if answered.get(study) != instances:  # else only our own results are new
                answer(model, instances)
                answered[study] = instances
        except Exception as error:  # one study's failure is its own
            orthanc.LogError(f"medplug failed on study {study}: {type(error).__name__}: {error}")


threading.Thread(target=work, daemon=True).start()
orthanc.RegisterOnChangeCallback(on_change)
