"""Shared by the monitor's tests: a VM with monitors on Unix sockets, their clients, and checks."""
import atexit
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PROMPT = b"(ringfence) "
TIMEOUT = 30


class Checks:
    def __init__(self):
        self.count = self.failed = 0

    def __call__(self, what, ok, seen=""):
        self.count += 1
        if not ok:
            self.failed += 1
            print(f"FAIL {what}: {seen!r}"[:1000])

    def matches(self, what, pattern, text):
        self(what, re.search(pattern, text, re.M), text)

    def finish(self):
        print(f"{self.count} checks, {self.failed} failed")
        sys.exit(1 if self.failed or not self.count else 0)


class Vm:
    """The built-in demonstration guest unless options say otherwise."""

    def __init__(self, *options, monitors=1, qmps=0):
        self.dir = tempfile.mkdtemp()
        argv = [sys.argv[1], "-display", "none", "-serial", f"file:{self.dir}/serial", "-name", "test"]
        for kind, n in (("monitor", monitors), ("qmp", qmps)):
            for i in range(n):
                argv += [f"-{kind}", f"unix:{self.dir}/{kind}{i},server=on,wait=off"]
        self.errors = open(f"{self.dir}/stderr", "w+")
        self.process = subprocess.Popen(argv + list(options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.errors)
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)  # the last to be registered goes first
        atexit.register(self.process.kill)

    def path(self, name):
        return os.path.join(self.dir, name)

    def connect(self, name):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(TIMEOUT)
        deadline = time.time() + TIMEOUT
        while True:
            try:
                s.connect(self.path(name))
                return s
            except OSError:
                if time.time() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def monitor(self, n=0):
        return Monitor(self.connect(f"monitor{n}"))

    def qmp(self, n=0, negotiate=True):
        return Qmp(self.connect(f"qmp{n}"), negotiate)

    def alive(self):
        return self.process.poll() is None

    def wait_serial(self, text):
        for _ in range(TIMEOUT * 20):
            try:
                if text in open(self.path("serial"), errors="replace").read():
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def wait(self):
        return self.process.wait(TIMEOUT)

    def end(self):
        if self.alive():
            self.process.terminate()
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "hangs"
        self.errors.seek(0)
        text = self.errors.read()
        if "runtime error" in text or "Sanitizer" in text or "internal error" in text:
            print(text)
            status = "sanitizer"
        shutil.rmtree(self.dir)
        return status


class Monitor:
    """A human monitor: one command, one answer."""

    def __init__(self, s):
        self.s = s
        self.banner = self.read()

    def read(self, until=PROMPT):
        seen = b""
        while until not in seen or (until == PROMPT and not strip(seen).endswith(PROMPT)):
            data = self.s.recv(65536)
            if not data:
                raise EOFError(seen)
            seen += data
        return seen

    def send(self, data):
        self.s.sendall(data)

    def command(self, line):
        self.send(line.encode() + b"\n")
        answer = strip(self.read())
        # behind the echo, before the prompt
        return answer[answer.find(b"\n") + 1 : answer.rfind(PROMPT)].replace(b"\r", b"").decode(errors="replace")

    def close(self):
        self.s.close()


def strip(text):
    """Without terminal control sequences."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", text)


class Qmp:
    def __init__(self, s, negotiate):
        self.s = s
        self.file = s.makefile("rb")
        self.events = []
        self.greeting = self.receive()
        if negotiate:
            self.command("qmp_capabilities")

    def close(self):
        self.file.close()  # else the socket stays open
        self.s.close()

    def receive(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def answer(self):
        while True:
            message = self.receive()
            if message is None or "event" not in message:
                return message
            self.events.append(message)

    def command(self, name, **arguments):
        request = {"execute": name}
        if arguments:
            request["arguments"] = {k.replace("_", "-"): v for k, v in arguments.items()}
        self.send(json.dumps(request))
        return self.answer()

    def raw(self, text):
        self.send(text)
        return self.answer()

    def event(self, name):
        """Wait for it; it is taken off the list."""
        while True:
            for e in self.events:
                if e["event"] == name:
                    self.events.remove(e)
                    return e
            message = self.receive()
            if message is None:
                return None
            self.events.append(message)
