"""The exceptions of lutra: one class for each cause a program can act on."""


class Error(Exception):
    """What lutra raises: one line with the file, the tensor and the cause."""


class InvalidArgumentError(Error, ValueError):
    """A value, a shape, an option or another model than the call takes."""


class NotFoundError(Error, FileNotFoundError):
    """A file, or a part of one that is asked for."""


class NoPermissionError(Error, PermissionError):
    """A file may not be opened or written."""


class IoError(Error, OSError):
    """The system cannot read, write or map a file."""


class DamagedError(Error):
    """The bytes of a file are not what they should be."""


class UnsupportedError(Error):
    """Sound, as far as can be seen, but not for this build."""


class ContextFullError(Error):
    """More tokens than the context of a sequence holds."""


class OutOfMemoryError(Error, MemoryError):
    """The machine does not give the memory."""


class NoThreadsError(Error):
    """The system starts no more threads."""


class CancelledError(Error):
    """The call was cancelled by another thread."""


class InternalError(Error):
    """A defect of lutra."""
