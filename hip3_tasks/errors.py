"""The errors that this project raises on purpose.

Hip3Error
    BadSetting          a HIP3_* name or value that an operator must correct
    Unavailable         a server, port, directory or program that an operator must start, free or install
    MalformedFrame      a venue frame that does not fit the venue's documentation; carries its kind and text
    MalformedEntry      a tape entry that cannot be decoded; carries the bytes
    MalformedRecord     a line of a data file that cannot be decoded; carries the bytes
    BadCapture          task arguments that cannot name a capture
    UnknownSignal       a well-formed signal id that is neither in Redis nor in its day's file
    BadSelection        a selection of data with an invalid time, coin or grouping
    DayClosed           a write or recapture for a day that is compacted and takes no more lines
    NotCompacted        a day that is left as it is, and the reason
    DamagedPiece        a file of the kept tape that cannot be read, or is not what its name says
    JournalError        a line could not be made durable; no part of it is left in the file
    Fenced              another feed has taken this feed's name
"""


class Hip3Error(Exception):
    """Base class; the text is meant for an operator."""


class BadSetting(Hip3Error): ...


class Unavailable(Hip3Error): ...


class MalformedFrame(Hip3Error):
    def __init__(self, kind: str, frame: object, *, channel: str | None = None, coin: str | None = None) -> None:
        super().__init__(f"{kind}: {str(frame)[:200]!r}")
        self.kind = kind
        self.frame = frame
        self.channel, self.coin = channel, coin
        """The market that the frame concerns, as far as that can be read."""


class MalformedEntry(Hip3Error):
    def __init__(self, data: object) -> None:
        super().__init__(f"tape entry cannot be decoded: {str(data)[:200]!r}")
        self.data = data


class MalformedRecord(Hip3Error):
    def __init__(self, why: str, line: bytes) -> None:
        super().__init__(f"{why}: {line[:200]!r}")
        self.line = line


class BadCapture(Hip3Error): ...


class UnknownSignal(Hip3Error): ...


class BadSelection(Hip3Error): ...


class DayClosed(Hip3Error): ...


class NotCompacted(Hip3Error): ...


class DamagedPiece(Hip3Error): ...


class JournalError(Hip3Error): ...


class Fenced(Hip3Error): ...
