#!/usr/bin/env python3
"""The report as a file: at the guest's end, whole or not at all, and what is said when it cannot be.   report_file.py RINGFENCE KERNEL"""
import json
import os
import re
import resource
import stat
import subprocess
import sys
import tempfile
import time

from harness import Checks, Vm

check = Checks()
directory = tempfile.TemporaryDirectory()


def at(name):
    return os.path.join(directory.name, name)


def data(path):
    """The JSON of a page; fails when the page is not whole."""
    text = open(path, encoding="utf-8").read()
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    check("nothing in the data ends its element", found and "<" not in found.group(1))
    check("the page is whole", text.rstrip().endswith("</html>"))
    check("nothing from elsewhere", not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)|url\((?!#)|@import""", text))
    return json.loads(found.group(1)) if found else {}


def clean():
    return not [f for f in os.listdir(directory.name) if re.search(r"\.[0-9a-f]{8}$", f)]


# at the end: by SIGTERM, by `quit`
for end, umask in (("signal", 0o022), ("quit", 0o027)):
    before = os.umask(umask)
    path = at(f"{end}.html")
    vm = Vm("-tc-report", path, "-accel", "dbt,counts=on", "-kernel", sys.argv[2])
    os.umask(before)
    m = vm.monitor()
    check("it runs", vm.wait_serial("counted"))
    check("not before the end", not os.path.exists(path))
    if end == "quit":
        m.send(b"quit\n")
        vm.wait()
    check(f"{end}: the status", vm.end() == 0)
    d = data(path)
    executions = {lin: n for lin, n in zip(d["ccf"]["lin"], d["ccf"]["executions"])}
    check("the loop", 3000000 in executions.values() and d["counted"], executions)
    check("columns are equally long", len({len(c) for c in d["ccf"].values()}) == 1)
    check("mode of a new file", stat.S_IMODE(os.stat(path).st_mode) == 0o666 & ~umask)

# by the guest, which powers off
path = at("guest.html")
run = subprocess.Popen([sys.argv[1], "-display", "none", "-monitor", "none", "-serial", "stdio", "-tc-report", path], text=True,
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
seen = ""
while "hello from ring 3" not in seen:
    seen += run.stdout.readline()
for key in "poweroff\n":
    run.stdin.write(key)
    run.stdin.flush()
    time.sleep(0.02)
run.communicate(timeout=30)
check("powered off", run.returncode == 0, run.returncode)
check("something was translated", len(data(path)["ccf"]["id"]) > 100)

# what cannot be written is said before the guest starts
for path, why in ((at("none/x.html"), "No such file or directory"), (directory.name, "Is a directory"), ("/dev/null", "not a regular file"),
                  ("/proc/x.html", "cannot write the report")):
    run = subprocess.run([sys.argv[1], "-display", "none", "-serial", "none", "-tc-report", path], capture_output=True, text=True, timeout=30)
    check(f"{path}: one line", run.returncode == 1 and why in run.stderr and len(run.stderr.splitlines()) == 1, run.stderr)
run = subprocess.run([sys.argv[1], "-accel", "interp", "-tc-report", at("x.html")], capture_output=True, text=True, timeout=30)
check("no cache, no report", run.returncode == 1 and "no translation cache" in run.stderr, run.stderr)

# the monitor's command: the same, and an old file survives a failure
vm = Vm("-kernel", sys.argv[2])
m = vm.monitor()
check("it runs", vm.wait_serial("counted"))
for path, why in ((at("none/x.html"), "No such file"), (directory.name, "Is a directory"), ("/dev/null", "not a regular file")):
    check.matches(path, rf"^Error: cannot write the report '{re.escape(path)}': .*{why}", m.command(f"tc report {path}"))
check.matches("a name is wanted", r"^a parameter is missing", m.command("tc report"))
check.matches("one name", r"extraneous characters", m.command("tc report a b"))
old, link = at("old.html"), at("link.html")
with open(old, "w", encoding="utf-8") as f:
    f.write("old")
os.chmod(old, 0o600)
os.symlink("old.html", link)
resource.prlimit(vm.process.pid, resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))
text = m.command(f"tc report {old}")
resource.prlimit(vm.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
check.matches("no room", r"^Error: cannot write the report .*: File too large", text)
check("the old one is still there, and nothing else", open(old, encoding="utf-8").read() == "old" and clean(), os.listdir(directory.name))
check.matches("through a link, in quotes", r"^\d+ CCFs", m.command(f'tc report "{link}"'))
check("the link stays, the file is new", os.path.islink(link) and data(old) and stat.S_IMODE(os.stat(old).st_mode) == 0o600)
check("no file left over", clean(), os.listdir(directory.name))
check("ends well", vm.end() == 0)

# by QMP and while the guest runs
vm = Vm(qmps=1)
q = vm.qmp()
check("it runs", vm.wait_serial("hello from ring 3"))
answer = q.command("human-monitor-command", command_line=f"tc report {at('qmp.html')}")
check.matches("by QMP", r"^\d+ CCFs", answer["return"])
d = data(at("qmp.html"))
check("not counted", not d["counted"] and not any(d["ccf"]["executions"]))
check("ends well", vm.end() == 0)
check.finish()
