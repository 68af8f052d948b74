"""The errors that medplug raises on purpose: each names the thing, what was wrong with it, and the way out."""


class MedplugError(Exception):
    """Parent of every error that medplug raises on purpose."""


class CallError(MedplugError, ValueError):
    """The call was wrong: an argument, an option or a combination of them. The command line exits with 2."""


class SourceError(MedplugError):
    """A source cannot be read as an image.

    `code` is one of `medplug.result.RefusalCode`; the message becomes the reason of a `Refused` result.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class PreprocessingError(MedplugError, ValueError):
    """A preprocessing cannot be parsed, or cannot be applied to this image.

    `code` is the refusal that it becomes when a case meets it at inference.
    """

    def __init__(self, reason: str, code: str = "values") -> None:
        super().__init__(reason)
        self.code = code


class PluginError(MedplugError):
    """A plugin is absent, ambiguous, in quarantine, or breaks the contract."""


class ModelFolderError(MedplugError):
    """A model folder is missing, damaged, or was changed after it was written."""


class TrainingError(MedplugError):
    """Training cannot begin, or had to stop. What was finished before is kept."""


class WriterError(MedplugError):
    """A writer failed, on a full disk say. What the other writers made is there."""


class NodeError(MedplugError):
    """A DICOM node cannot be reached, or does not want to talk. Names the node, and never what was asked for."""
