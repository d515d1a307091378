"""The guest's initramfs with the benchmark programs added, and files taken out of it.

The kernel accepts several archives one after another, so ours is the common one followed by a small one
of our own: no need to unpack anything.
"""

import os

FILE, LINK, DIRECTORY = 0o100755, 0o120777, 0o040755


def entry(name, mode, data):
    """One file of a "newc" archive."""
    name_bytes = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name_bytes), 0]
    out = b"070701" + b"".join(b"%08X" % field for field in fields) + name_bytes
    out += b"\0" * (-len(out) % 4)
    return out + data + b"\0" * (-len(data) % 4)


def extract(archive, wanted):
    """The contents of one file of a "newc" archive, or None."""
    with open(archive, "rb") as f:
        data = f.read()
    at = 0
    while data[at:at + 6] == b"070701":
        size, name_size = (int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in (6, 11))
        name = data[at + 110:at + 110 + name_size - 1].decode(errors="replace")
        start = (at + 110 + name_size + 3) // 4 * 4
        if name.removeprefix("./") == wanted:
            return data[start:start + size]
        at = (start + size + 3) // 4 * 4
    return None


def build(base, files, output):
    """Write `base` plus /bench/NAME for each of `files`: name -> path, or name -> ("link", target)."""
    directories = {"bench"}
    for name in files:
        directories.add(os.path.dirname("bench/" + name))
    with open(base, "rb") as f:
        archive = f.read()
    archive += b"\0" * (-len(archive) % 512)
    for name in sorted(directories):
        archive += entry(name, DIRECTORY, b"")
    for name, source in sorted(files.items()):
        if isinstance(source, tuple):
            archive += entry("bench/" + name, LINK, source[1].encode())
            continue
        with open(source, "rb") as f:
            archive += entry("bench/" + name, FILE, f.read())
    archive += entry("TRAILER!!!", 0, b"")
    with open(output, "wb") as f:
        f.write(archive)
