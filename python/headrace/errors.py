"""The exceptions that Headrace raises.

Every one is a `HeadraceError` with a `kind`, one of twelve names; where Python has an
exception of the same meaning the class is that one as well. Messages are for people and
may change; kinds and classes do not.
"""

from typing import ClassVar

__all__ = [
    "Cancelled",
    "Conflict",
    "Corrupt",
    "Denied",
    "HeadraceError",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "PeerFailed",
    "ResourceExhausted",
    "SchemaMismatch",
    "Unavailable",
    "Unsupported",
]


class HeadraceError(Exception):
    """Anything that went wrong in Headrace.

    Attributes
    ----------
    kind : str
        One of the twelve kinds, which is the name of the subclass.
    """

    kind: ClassVar[str] = "Internal"

    def __str__(self) -> str:
        # OSError and KeyError would print more than the message.
        return str(self.args[0]) if self.args else ""


class InvalidArgument(HeadraceError, ValueError):  # noqa: N818
    """The call itself is wrong; changing the arguments mends it."""

    kind = "InvalidArgument"


class NotFound(HeadraceError, FileNotFoundError):  # noqa: N818
    """A table, file, column or version that is not there."""

    kind = "NotFound"


class SchemaMismatch(HeadraceError, ValueError):  # noqa: N818
    """Files, or a file and a declaration, disagree on a column."""

    kind = "SchemaMismatch"


class Corrupt(HeadraceError, OSError):  # noqa: N818
    """Stored bytes are damaged."""

    kind = "Corrupt"


class Unavailable(HeadraceError, ConnectionError):  # noqa: N818
    """Storage did not answer; the same call may succeed later."""

    kind = "Unavailable"


class Denied(HeadraceError, PermissionError):  # noqa: N818
    """Storage refused the credentials."""

    kind = "Denied"


class Conflict(HeadraceError, RuntimeError):  # noqa: N818
    """The state of the world differs from what the caller relied on."""

    kind = "Conflict"


class Unsupported(HeadraceError, NotImplementedError):  # noqa: N818
    """Known, and not done by this build."""

    kind = "Unsupported"


class Cancelled(HeadraceError, RuntimeError):  # noqa: N818
    """Stopped by the caller."""

    kind = "Cancelled"


class ResourceExhausted(HeadraceError, MemoryError):  # noqa: N818
    """A budget (memory, slots) is too small."""

    kind = "ResourceExhausted"


class PeerFailed(HeadraceError, TimeoutError):  # noqa: N818
    """Another process, of a function or a rank, failed or did not answer."""

    kind = "PeerFailed"


class Internal(HeadraceError, RuntimeError):  # noqa: N818
    """A fault in Headrace: please report it."""

    kind = "Internal"
