#!/usr/bin/env python3
"""A VM that is ended by a signal leaves a report, and ends by that signal.   crash.py RINGFENCE"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import Checks

check = Checks()
ringfence = os.path.abspath(sys.argv[1])
PARTS = ("what happened", "the guest's processor", "the host's registers", "blocks, in bytes", "state and counters",
         "the block that ran, guest beside host", "the host's stack", "other blocks, guest beside host", "the guest's processor in full",
         "the last events", "windows", "the host", "mappings")


def end_by(number, cwd, *options, **environment):
    """Exit status, stderr and the report's path (as it was told) of the demonstration guest."""
    d = tempfile.mkdtemp()
    serial = os.path.join(d, "serial")
    env = {k: v for k, v in os.environ.items() if k != "TMPDIR"} | environment
    p = subprocess.Popen([ringfence, "-display", "none", "-serial", f"file:{serial}", "-pidfile", f"{d}/pid", *options], cwd=cwd, env=env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    deadline = time.time() + 60
    while time.time() < deadline and not (os.path.exists(serial) and "hello from ring 3" in open(serial, errors="replace").read()):
        time.sleep(0.02)
    p.send_signal(number)
    errors = p.communicate(timeout=60)[1]
    check(f"{number!r}: the pid file is gone", not os.path.exists(f"{d}/pid"))
    shutil.rmtree(d)
    told = re.search(r"^ringfence: please attach (\S+) to a bug report$", errors, re.M)
    return p.returncode, errors, told and told.group(1), p.pid


def whole(number, *options):
    with tempfile.TemporaryDirectory() as d:
        status, errors, name, pid = end_by(number, d, *options)
        check(f"{number!r}: ends by it", status == -number, (status, errors[-500:]))
        check("the name", name == f"ringfence-crash-{pid}.txt", (name, errors))
        report = open(os.path.join(d, name)).read()
        check("private", os.stat(os.path.join(d, name)).st_mode & 0o77 == 0)
    check.matches("the message comes first", rf"ringfence: ended by {number.name}\b.* from process {os.getpid()}$", errors.splitlines()[0] if not
                  errors.startswith("ringfence: no -kernel") else errors.splitlines()[1])
    check("every part", [t for t in re.findall(r"^== (.*)$", report, re.M) if t != "more"] == list(PARTS), report[:300])
    check("none failed", "this part" not in report, re.findall(r".*this part.*", report))
    check.matches("registers", r"^EIP=[0-9a-f]{8} EFL=", report)
    check.matches("command line", r"-display none -serial file:", report)
    check.matches("host stack", r"libc\.so", report)
    return report, errors


def translated():
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGFPE):
        report, errors = whole(number)
        for text in (report, errors):
            check.matches("guest beside host", r"^  [0-9a-f]{8}  \S.* \| [0-9a-f]{7}  \S", text)
        check.matches("in bytes", r"^  host \d+ bytes: 4[9c] 89 c9 ", report)
        check("several blocks", len(re.findall(r"^CCF \d+ at [0-9a-f]{8}, gpa", report, re.M)) > 4)
        check.matches("events", r"^ +\d+\.\d{6}  translate ", report)
        for text in (report, errors):
            check.matches("counters", r"^ +[1-9]\d*  blocks translated$", text)
        check("blocks on stderr, too", len(re.findall(r"^CCF \d+ at [0-9a-f]{8}, gpa", errors, re.M)) > 1)
        check("short on stderr", len(errors.splitlines()) < 200, len(errors.splitlines()))


def other_gears():
    report, _ = whole(signal.SIGSEGV, "-accel", "interp")
    check("nothing translated", "CCF" not in report)
    whole(signal.SIGSEGV, "-accel", "dbt,lockstep=on")


def places():
    with tempfile.TemporaryDirectory() as d:
        # nobody may write there
        status, errors, name, pid = end_by(signal.SIGSEGV, "/proc", TMPDIR=d)
        check("in TMPDIR", name == f"{d}/ringfence-crash-{pid}.txt" and os.path.getsize(name) > 5000, (name, errors[-300:]))
        status, errors, name, pid = end_by(signal.SIGSEGV, "/proc", TMPDIR="/proc/nowhere")
        check("in /tmp", name == f"/tmp/ringfence-crash-{pid}.txt" and os.path.getsize(name) > 5000, (name, errors[-300:]))
        os.unlink(name)
        check("status", status == -signal.SIGSEGV, status)


def terminations():
    """Ends that are no failures leave nothing."""
    for number in (signal.SIGTERM, signal.SIGINT):
        with tempfile.TemporaryDirectory() as d:
            status, errors, name, _ = end_by(number, d)
            check(f"{number!r}: no report", status == 0 and not name and not glob.glob(d + "/*"), (status, errors))


translated()
other_gears()
places()
terminations()
check.finish()
