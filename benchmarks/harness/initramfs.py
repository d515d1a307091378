"""The guest's initramfs with the benchmark programs added.

The kernel accepts several archives one after another, so ours is the common one followed by a small one
of our own: no need to unpack anything.
"""

import os


def entry(name, mode, data):
    """One file of a "newc" archive."""
    name_bytes = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name_bytes), 0]
    out = b"070701" + b"".join(b"%08X" % field for field in fields) + name_bytes
    out += b"\0" * (-len(out) % 4)
    return out + data + b"\0" * (-len(data) % 4)


def build(base, programs, serve, output):
    """Write `base` plus /bench/KIND/NAME for each of `programs` (name -> path) and /bench/serve."""
    directories = ["bench"] + sorted({"bench/" + os.path.dirname(name) for name in programs})
    with open(base, "rb") as f:
        archive = f.read()
    archive += b"\0" * (-len(archive) % 512)
    for name in directories:
        archive += entry(name, 0o040755, b"")
    for name, path in sorted(programs.items()) + [("serve", serve)]:
        with open(path, "rb") as f:
            archive += entry("bench/" + name, 0o100755, f.read())
    archive += entry("TRAILER!!!", 0, b"")
    with open(output, "wb") as f:
        f.write(archive)
