"""Order-independent hash of a multiset of lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The number of lines, and the sum of their 128-bit hashes modulo 2^128. Fingerprints of parts add up."""

    lines: int = 0
    total: int = 0

    @classmethod
    def from_lines(cls, lines: Iterable[bytes]) -> Self:
        """Fingerprint lines, given without their ends."""
        hashes = [int.from_bytes(blake2b(line, digest_size=HASH_BYTES).digest(), "little") for line in lines]
        return cls(len(hashes), sum(hashes) % (1 << 8 * HASH_BYTES))

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        return Fingerprint(self.lines + other.lines, (self.total + other.total) % (1 << 8 * HASH_BYTES))
