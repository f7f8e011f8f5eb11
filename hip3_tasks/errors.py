"""Every error this project raises on purpose.

Hip3Error
    BadSetting          a HIP3_* value or name an operator must mend
    Unavailable         something an operator must start or free first (server, port, directory)
    MalformedFrame      a venue frame that is not what the venue documents; carries its kind and text
    MalformedEntry      a tape entry that does not decode; carries the bytes
    MalformedRecord     a line of a data file that does not decode; carries the bytes
    BadCapture          task arguments that name no capture of any signal
    UnknownSignal       a well-formed signal id that neither Redis nor its day's file knows
    BadSelection        what was asked of the data names no time, coin or grouping
    DayClosed           what is asked for a day that takes no more lines: it is compacted
    NotCompacted        a day that stays as it is, and why
    JournalError        a line could not be made durable; nothing of it is left behind
    Fenced              another feed owns this name now
"""


class Hip3Error(Exception):
    """Base of all; its text is meant for an operator."""


class BadSetting(Hip3Error):
    pass


class Unavailable(Hip3Error):
    pass


class MalformedFrame(Hip3Error):
    def __init__(self, kind: str, frame: object) -> None:
        super().__init__(f"{kind}: {str(frame)[:200]!r}")
        self.kind = kind
        self.frame = frame


class MalformedEntry(Hip3Error):
    def __init__(self, data: object) -> None:
        super().__init__(f"tape entry does not decode: {str(data)[:200]!r}")
        self.data = data


class MalformedRecord(Hip3Error):
    def __init__(self, why: str, line: bytes) -> None:
        super().__init__(f"{why}: {line[:200]!r}")
        self.line = line


class BadCapture(Hip3Error):
    pass


class UnknownSignal(Hip3Error):
    pass


class BadSelection(Hip3Error):
    pass


class DayClosed(Hip3Error):
    pass


class NotCompacted(Hip3Error):
    pass


class JournalError(Hip3Error):
    pass


class Fenced(Hip3Error):
    pass
