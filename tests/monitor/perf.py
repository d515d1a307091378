#!/usr/bin/env python3
"""Names of translated code for perf: -perfmap and -jitdump by their contents, and what perf makes of them.   perf.py RINGFENCE GUEST"""
import atexit
import os
import re
import shutil
import struct
import subprocess
import sys
import time

from harness import Checks, Vm

check = Checks()
guest = sys.argv[2]
symbols = {}
for line in subprocess.run(["nm", guest], capture_output=True, text=True, check=True).stdout.splitlines():
    value, kind, name = line.split()
    symbols[name] = int(value, 16)


def entries(pid):
    """The lines of the map that are in use: start, size, name."""
    text = open(f"/tmp/perf-{pid}.map", "rb").read()
    check("lines of one length", len(text) % 64 == 0 and all(text[i] == 10 for i in range(63, len(text), 64)), text[:200])
    found = []
    for line in text.decode().splitlines():
        m = re.fullmatch(r"([0-9a-f]+) ([0-9a-f]+) (guest_kernel:[0-9a-f]{8}|guest_user:[0-9a-f]{8}|unused)", line)
        check("a line of the map", m, line)
        if m and m[3] != "unused":
            found.append((int(m[1], 16), int(m[2], 16), m[3]))
    return sorted(found)


def executable(pid):
    """The anonymous executable memory of the process."""
    for line in open(f"/proc/{pid}/maps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xs .*/dev/zero", line)
        if m:
            return int(m[1], 16), int(m[2], 16)
    return 0, 0


def forget_map(pid):
    path = f"/tmp/perf-{pid}.map"
    if os.path.exists(path):
        os.unlink(path)


def forget_maps(directory):
    """Of the processes whose dumps are there."""
    for pid in re.findall(r"jit-(\d+)\.dump", " ".join(os.listdir(directory))):
        forget_map(pid)


def the_map():
    vm = Vm("-perfmap")
    check("the guest speaks", vm.wait_serial("hello from ring 3"))
    m = vm.monitor()
    m.command("stop")
    path = f"/tmp/perf-{vm.process.pid}.map"
    atexit.register(forget_map, vm.process.pid)
    first, end = executable(vm.process.pid)
    found = entries(vm.process.pid)
    check("there are many", len(found) > 100, len(found))
    check("all in the TC", all(first <= start and start + size <= end for start, size, _ in found), (hex(first), found[:3]))
    check("none overlap", all(a[0] + a[1] <= b[0] for a, b in zip(found, found[1:])))
    check("of both kinds", {name.split(":")[0] for _, _, name in found} == {"guest_kernel", "guest_user"})
    live = set(re.findall(r"\b([0-9a-f]{8})\b", m.command("tc list limit=1000000")))
    names = {name.split(":")[1] for _, _, name in found}
    check("the monitor's units are there", len(live & names) > 100, (len(live), len(names), len(live & names)))
    m.command("system_reset")
    m.command("cont")
    time.sleep(0.5)
    m.command("stop")
    again = entries(vm.process.pid)
    check("rewritten after a reset", again and all(a[0] + a[1] <= b[0] for a, b in zip(again, again[1:])))
    check("ends", vm.end() == 0)
    check("the map stays", os.path.exists(path))


def the_dump(directory, pid):
    data = open(f"{directory}/jit-{pid}.dump", "rb").read()
    magic, version, size, machine, _, owner, _, flags = struct.unpack_from("<IIIIIIQQ", data)
    check("header", (magic, version, size, machine, owner, flags) == (0x4A695444, 1, 40, 62, pid, 0), data[:40])
    at, index, last, time_before, names = size, 0, None, 0, set()
    while at + 16 <= len(data):
        last, length, stamp = struct.unpack_from("<IIQ", data, at)
        check("time goes on", stamp >= time_before)
        time_before = stamp
        if last == 0:
            of, _, vma, address, code, number = struct.unpack_from("<IIQQQQ", data, at + 16)
            end = data.index(b"\0", at + 56)
            names.add(data[at + 56 : end].decode())
            check("a record", of == pid and vma == address and number == index and end + 1 + code == at + length, data[at : at + 80])
            index += 1
        at += length
    check("it ends with the end", last == 3 and at == len(data), (last, at, len(data)))
    check("the loop is named", f"guest_kernel:{symbols['nmi_wait']:08x}" in names, sorted(names)[:10])


def shares(directory, data):
    text = subprocess.run(["perf", "report", "-i", data, "--stdio", "--sort", "symbol"], cwd=directory, capture_output=True, text=True)
    name = f"guest_kernel:{symbols['nmi_wait']:08x}"
    m = re.search(r"([\d.]+)%.*" + name, text.stdout)
    return float(m[1]) if m else 0


def with_perf(directory):
    """The guest (breaks.S) computes in one loop: that is where perf must see the time go. Why that could not be seen, if so."""
    if not shutil.which("perf"):
        return "no perf"
    vmm = [sys.argv[1], "-perfmap", "-jitdump", "-kernel", guest, "-m", "64", "-display", "none", "-serial", "null", "-monitor", "none"]
    record = ["perf", "record", "--no-buildid-cache", "-k", "mono", "-e", "cpu-clock", "-o", "data", "timeout", "-s", "TERM", "2"]
    done = subprocess.run(record + vmm, cwd=directory, capture_output=True, text=True, timeout=60)
    if "Captured" not in done.stderr:
        return f"perf may not record here: {done.stderr.strip().splitlines()[-1:]}"
    check("perf report by the map", shares(directory, "data") > 30, shares(directory, "data"))
    subprocess.run(["perf", "inject", "--jit", "-i", "data", "-o", "injected"], cwd=directory, check=True, capture_output=True)
    forget_maps(directory)
    check("perf inject --jit", shares(directory, "injected") > 30, shares(directory, "injected"))
    return None


def alone(directory):
    vmm = subprocess.Popen([sys.argv[1], "-jitdump", "-kernel", guest, "-m", "64", "-display", "none", "-serial", "null", "-monitor",
                            "none"], cwd=directory)
    time.sleep(1)
    vmm.terminate()
    check("ends", vmm.wait(30) == 0)
    the_dump(directory, vmm.pid)


def errors(directory):
    for option in ("-perfmap", "-jitdump"):
        done = subprocess.run([sys.argv[1], "-accel", "interp", option], capture_output=True, text=True, timeout=30)
        check("not with the interpreter", done.returncode == 1 and "there is none with -accel interp" in done.stderr, done)
    os.chmod(directory, 0o500)
    done = subprocess.run([sys.argv[1], "-jitdump", "-display", "none"], cwd="/proc", capture_output=True, text=True, timeout=30)
    check("no such place", done.returncode == 1 and "-jitdump: cannot write" in done.stderr, done)
    os.chmod(directory, 0o700)


vm = Vm()
work = vm.dir + "-perf"
vm.end()
os.mkdir(work)
try:
    the_map()
    alone(work)
    for name in os.listdir(work):
        os.unlink(os.path.join(work, name))
    os.environ["HOME"] = work  # perf keeps what it has seen there
    skipped = with_perf(work)
    errors(work)
finally:
    forget_maps(work)
    shutil.rmtree(work)
if skipped and not check.failed:
    print(f"{skipped}: only the files were looked at")
    sys.exit(77)
check.finish()
