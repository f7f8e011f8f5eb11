"""The model of a disk that forgets: what a power cut may leave of a file. The fault suite and the universe share it.

Synced data stays. Of the rest any part may be there, as its bytes or as zeros, with holes of zeros in its middle: a
file system may make a file longer before its data is on the disk.
"""

import random


def content_left(synced: bytes, content: bytes, chance: random.Random) -> bytes:
    """The content of a file after a power cut: all that was synced, and of the rest any part, cut off or with zeros."""
    if not content.startswith(synced):
        return chance.choice([synced, content])
    begin, hole, end = sorted(chance.randint(len(synced), len(content)) for _ in range(3))
    return content[:begin] + chance.choice([content[begin:hole], bytes(hole - begin)]) + content[hole:end]


def is_name_left(is_synced: bool, chance: random.Random) -> bool:
    """Whether a file has its name after a power cut: surely once its directory was synced, else perhaps."""
    return is_synced or chance.random() < 0.5
