"""What the user or the machine did wrong, in words a person can act on.

A wrong argument is ``ValueError``, a broken invariant is an ``assert``; everything that a person has to be told
is a subclass of :class:`PspnetError`.
"""


class PspnetError(Exception):
    """An error that is shown to a person.

    Args:
        title: What was wrong, with the value, in one sentence.
        detail: What was expected, or what the system said.
        remedy: What to do about it.
    """

    def __init__(self, title: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.remedy = remedy

    def __str__(self) -> str:
        return "\n".join(part for part in (self.title, self.detail, self.remedy) if part)


class ImageReadError(PspnetError):
    """An image file could not be read."""


class ClassMapError(PspnetError):
    """A file is not a class map, or does not fit its image."""


class JournalError(ClassMapError):
    """A journal holds strokes that are in no class map yet, and cannot be read."""


class ProjectError(PspnetError):
    """A project folder could not be opened, read or written."""


class SelectionError(PspnetError):
    """A tool cannot select what was asked for: the region is too large, or there is nothing to go by."""


class StorageError(PspnetError):
    """A file could not be written: full disk, missing rights, vanished folder."""


class ClassSetError(PspnetError):
    """A class set is impossible: too many classes, an id twice, an empty name."""


class CheckpointError(PspnetError):
    """A checkpoint could not be read or does not fit."""


class DataError(PspnetError):
    """Training or evaluation data are missing or unusable."""


class DownloadError(PspnetError):
    """A file could not be fetched, or what came is not what was expected."""


class DeviceError(PspnetError):
    """The wanted device is not there or ran out of memory."""


class TrainingError(PspnetError):
    """Training could not go on."""
