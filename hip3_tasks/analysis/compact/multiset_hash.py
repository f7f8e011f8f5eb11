"""What is the same of two sets of lines only if they are the same lines, in whatever order."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How many lines there are, and the sum, modulo 2^128, of a 128-bit hash of each."""

    lines: int = 0
    total: int = 0

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Self:
        """Of lines without their ends."""
        hashes = [int.from_bytes(blake2b(line, digest_size=HASH_BYTES).digest(), "little") for line in lines]
        return cls(len(hashes), sum(hashes) % (1 << 8 * HASH_BYTES))

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        return Fingerprint(self.lines + other.lines, (self.total + other.total) % (1 << 8 * HASH_BYTES))
