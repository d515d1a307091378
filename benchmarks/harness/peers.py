"""The virtual machine monitors compared: how each is started, watched and stopped."""

import os
import select
import shlex
import subprocess
import tempfile
import time

MEMORY_MIB = 512


class Failed(Exception):
    """A measurement could not be made; the message says why."""


class Peer:
    """A VMM that understands QEMU's command line."""

    def __init__(self, name, program, arguments=()):
        self.name = name
        self.command = [program, *arguments]

    def version(self):
        out = subprocess.run([self.command[0], "-version"], capture_output=True, text=True, check=False).stdout
        return out.splitlines()[0] if out else "unknown"

    def start(self, kernel, initrd, append="", extra=()):
        arguments = ["-m", str(MEMORY_MIB), "-kernel", kernel, "-initrd", initrd, "-nographic", "-no-reboot",
                     "-nic", "none", "-append", ("console=ttyS0 " + append).strip(), *extra]
        return Vm(self, [*self.command, *arguments])


# The peers that have a name: program (None: our own) and arguments.
KNOWN = {
    "ringfence": (None, []),
    "ringfence-nolookup": (None, ["-accel", "dbt,lookup=off"]),
    "ringfence-translated": (None, ["-accel", "dbt,direct=off"]),
    "ringfence-interp": (None, ["-accel", "interp"]),
    "qemu-tcg": ("qemu-system-i386", ["-accel", "tcg"]),
    "qemu-kvm": ("qemu-system-i386", ["-accel", "kvm"]),
}


def choose_peers(names, others, ringfence):
    """Peers by name, ringfence first, then those given as NAME=COMMAND."""
    peers = []
    for name in ["ringfence", *(n for n in names if n and n != "ringfence")]:
        if name not in KNOWN:
            raise Failed(f"no peer '{name}'; there are {', '.join(KNOWN)}, and --peer NAME=COMMAND adds another")
        if name == "qemu-kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            raise Failed("qemu-kvm: /dev/kvm cannot be used here")
        program, arguments = KNOWN[name]
        peers.append(Peer(name, program or ringfence, arguments))
    for text in others:
        name, _, command = text.partition("=")
        if not name or not command.split():
            raise Failed(f"--peer is NAME=COMMAND, not '{text}'")
        program, *arguments = shlex.split(command)
        peers.append(Peer(name, program, arguments))
    if len({p.name for p in peers}) < len(peers):
        raise Failed("two peers have the same name")
    return peers


class Vm:
    """A running guest, seen through its serial port."""

    def __init__(self, peer, command):
        self.name = peer.name
        self.stderr = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr)
        self.output = b""
        self.seen = 0  # how far lines have been handed out
        self.cpu_seconds = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def read_some(self, deadline):
        """More output, or False at its end."""
        fd = self.process.stdout.fileno()
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise Failed(f"{self.name}: no answer in time; the last output: {self.tail()}")
        data = os.read(fd, 65536)
        self.output += data
        return bool(data)

    def tail(self):
        return self.output[-200:].decode(errors="replace")

    def next_line(self, deadline):
        while (end := self.output.find(b"\n", self.seen)) < 0:
            if not self.read_some(deadline):
                raise Failed(f"{self.name}: ended early; the last output: {self.tail()} {self.errors()[-300:]}")
        line = self.output[self.seen:end].decode(errors="replace").strip()
        self.seen = end + 1
        return line

    def wait_for(self, text, timeout):
        """Seconds from the start of the program until a line holds `text`."""
        deadline = time.monotonic() + timeout
        while text not in self.next_line(deadline):
            pass
        return time.monotonic() - self.started

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait_exit(self, timeout, poll=None):
        """Let it run to its end, calling `poll` now and then."""
        deadline = time.monotonic() + timeout
        fd = self.process.stdout.fileno()
        while True:
            if time.monotonic() > deadline:
                raise Failed(f"{self.name}: does not end; the last output: {self.tail()}")
            if poll:
                poll(self.process.pid)
            if select.select([fd], [], [], 0.02)[0] and not self.read_some(deadline):
                break
        self.stop(kill=False)

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode(errors="replace")

    def stop(self, kill=True):
        if self.cpu_seconds is not None:
            return
        if kill:
            self.process.kill()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.process.stdin.close()
        self.process.stdout.close()
