#!/usr/bin/env python3
"""Each class of -d, -dfilter, and the monitor's log and logfile.   log.py RINGFENCE"""
import os
import re
import subprocess
import sys
import tempfile
import time

from harness import Checks, Vm

check = Checks()
GUESTS = os.path.join(os.path.dirname(sys.argv[1]), "tests/guests")
BARE = "-display none -serial null -no-reboot -m 64 -device isa-debug-exit,iobase=0xf4,iosize=4".split()


def run(guest, *options):
    """The log of a test kernel that runs to its end."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "log")
        argv = [sys.argv[1], "-kernel", os.path.join(GUESTS, guest + ".elf"), *BARE, "-D", path, *options]
        status = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=100).returncode
        check(f"{guest} {options}: status 1", status == 1, status)
        return open(path).read()


def blocks(text, head):
    return re.findall(rf"^{head}.*\n((?:.+\n)*)", text, re.M)


def translation():
    text = run("task_switch", "-d", "in_asm,op,out_asm")
    guest, op, host = (blocks(text, h) for h in ("IN: ", "OP:", r"OUT: \[size="))
    check("as many of each", len(guest) == len(op) == len(host) > 100, (len(guest), len(op), len(host)))
    check.matches("in_asm", r"^0x[0-9a-f]{8}:  [0-9a-f ]{24} mov dword ptr \[0x", text)
    check.matches("op", r"^0x[0-9a-f]{8}:  PUSH +window +\d -> +\d+ bytes  32-bit stack access$", text)
    check.matches("op with a callout", r"^0x[0-9a-f]{8}:  INTERPRET .* privileged; calls out$", text)
    check.matches("op by the lean path", r"^0x[0-9a-f]{8}:  POPF .*; by the lean path$", text)
    for word, kernel in (("POPF", "task_switch"), ("CLTS", "fpu"), ("FXSTATE", "fpu"), ("INVLPG", "tlb"), ("PORT", "tlb")):
        seen = run(kernel, "-d", "op")
        check.matches(f"op: {word}", rf"^0x[0-9a-f]{{8}}:  {word} ", seen)
        check("op names every way of translating", not re.search(r"^0x.*:  (\?|\(null\)) ", seen, re.M))
    check.matches("out_asm", r"^0x[0-9a-f]+:  65 67 .* gs:\[", text)
    for g, o, h in list(zip(guest, op, host))[:50]:
        at = re.findall(r"^0x([0-9a-f]{8}):", g, re.M)
        check("op has the same instructions", at == re.findall(r"^0x([0-9a-f]{8}):", o, re.M), (g, o))
        check("out_asm has the same instructions", at == re.findall(r"guest addr 0x([0-9a-f]{8})$", h, re.M), (g, h))
    text = run("task_switch", "-d", "in_asm,exec", "-dfilter", "0x100000+0x10,0x100040..0x1000ff")
    seen = [int(a, 16) for a in re.findall(r"^IN: .*\n0x([0-9a-f]{8}):", text, re.M)]
    seen += [int(a, 16) for a in re.findall(r"^Trace 0: \S+ \[[0-9a-f]{8}/([0-9a-f]{8})", text, re.M)]
    check("dfilter", seen and all(0x100000 <= a < 0x100010 or 0x100040 <= a < 0x100100 for a in seen), seen)
    check("dfilter lets nothing else by", "0x00101" not in text, text[:500])


def execution():
    """The blocks that exec shows are those that the interpreter comes by, and none is missing."""
    traced = re.findall(r"^Trace 0: \S+ \[[0-9a-f]{8}/([0-9a-f]{8})", run("task_switch", "-d", "exec"), re.M)
    every = re.findall(r"^Trace 0: \(nil\) \[[0-9a-f]{8}/([0-9a-f]{8})\] interp",
                       run("task_switch", "-d", "exec", "-accel", "interp"), re.M)
    at = gap = 0
    last = None
    for pc in traced:
        if pc == last and every[at] != pc:
            continue  # begun again: a fault was hidden, or the block translated anew
        last, start = pc, at
        while at < len(every) and every[at] != pc:
            at += 1
        if at == len(every):
            break
        gap = max(gap, len(set(every[start:at])))  # a loop that waits may wait longer
        at += 1
    check("a part of the interpreter's trace", traced and at < len(every), (len(traced), len(every)))
    check("no more than a block between two", gap <= 64, gap)
    text = run("task_switch", "-d", "cpu,exec,fpu")
    check("registers before each", text.count("Trace 0:") == text.count("EAX=") == text.count("XMM07=") > 1000)
    check.matches("exec, then cpu", r"^Trace 0: .*\nCPU#0\nEAX=[0-9a-f]{8} EBX=", text)
    check("no fpu", "XMM" not in run("task_switch", "-d", "cpu"))
    check("nochain says nothing", run("task_switch", "-d", "nochain") == "")
    check("nor in lockstep", "Trace 0: 0x" in run("task_switch", "-d", "exec", "-accel", "dbt,lockstep=on"))


def events():
    text = run("page_faults", "-d", "int")
    check.matches("int", r"^ +\d+: v=0e e=000\d i=0 cpl=3 IP=[0-9a-f]{4}:[0-9a-f]{8} pc=\S+ SP=\S+ CR2=[0-9a-f]{8}$", text)
    check("registers", text.count(": v=") == text.count("EAX=") - text.count(" EAX="), text[:500])
    a, b = (re.findall(r"v=(..) e=(\S+).*IP=(\S+)", run("page_faults", "-d", "int", "-accel", x)) for x in ("dbt", "interp"))
    check("the same as interpreted", a == b and len(a) > 500, (len(a), len(b)))
    text = run("task_switch", "-d", "pcall")
    check.matches("ljmp", r"^ljmp 0060:00000000 s=1", text)
    check.matches("task switch", r"^switch_tss: sel=0x0060 by jmp", text)
    check.matches("iret", r"^iret 0008:", text)
    text = run("gates", "-d", "pcall")
    check.matches("lcall", r"^lcall [0-9a-f]{4}:", text)
    check.matches("lret", r"^lret [0-9a-f]{4}:", text)
    a, b = (re.findall(r"^(?:ljmp|lcall|lret|iret|switch_tss).*", run("gates", "-d", "pcall", "-accel", x), re.M)
            for x in ("dbt,lockstep=on", "interp"))
    check("lockstep's reference is quiet", a == b, (len(a), len(b)))
    text = run("page_faults", "-d", "mmu")
    for pattern in (r"^fault: supervisor write [0-9a-f]{9}: hidden fault, filled$", r"^fill: space \d+ pages .* r[wo]",
                    r"^fault: \w+ \w+ [0-9a-f]{9}: true fault$", r"^paging: cr0 ", r"^invlpg: ", r"^(drop|park): space"):
        check.matches(f"mmu {pattern}", pattern, text)
    check.matches("ioport", r"^out 00f4\.", run("task_switch", "-d", "ioport"))
    check.matches("guest_errors: ports", r"^Invalid (read|write) at port 0x", run("mmio", "-d", "guest_errors") + boot("guest_errors"))
    text = reset()
    check.matches("cpu_reset", r"^CPU Reset \(CPU 0\): triple fault\nCPU#0\nEAX=", text)
    check.matches("guest_errors: triple fault", r"^Triple fault at ", text)


def reset():
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "log")
        subprocess.run([sys.argv[1], "-kernel", os.path.join(GUESTS, "reset_triple.elf"), *BARE, "-D", path, "-d",
                        "cpu_reset,guest_errors"], stdin=subprocess.DEVNULL, timeout=60)
        return open(path).read()


def boot(classes):
    """The demonstration guest to its prompt."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "log")
        vm = Vm("-d", classes, "-D", path)
        check("the guest runs", vm.wait_serial("hello from ring 3"))
        check("ends well", vm.end() == 0)
        return open(path).read()


def kept_for_the_end():
    """What `log` chooses at run time leaves -d stats alone."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "log")
        vm = Vm("-d", "stats,json", "-D", path)
        check("the guest runs", vm.wait_serial("hello from ring 3"))
        m = vm.monitor()
        check("log", m.command("log int") == "" and m.command("log none") == "")
        check("ends well", vm.end() == 0)
        check.matches("statistics at the end", r'^\{"ringfence_statistics": 1', open(path).read())


def at_run_time():
    vm = Vm()
    check("the guest runs", vm.wait_serial("hello from ring 3"))
    m = vm.monitor()
    text = m.command("log")
    for word in ("in_asm", "out_asm", "op", "int", "exec", "cpu", "fpu", "mmu", "pcall", "cpu_reset", "unimp", "guest_errors", "nochain"):
        check.matches(f"log lists {word}", rf"^  {word} +\S", text)
    path, second = vm.path("log"), vm.path("log2")
    check("logfile", m.command(f"logfile {path}") == "")
    check("exec on", m.command("log exec,int") == "")
    time.sleep(0.5)
    check("off", m.command("log none") == "")
    seen = open(path).read()
    check.matches("blocks", r"^Trace 0: 0x", seen)
    check.matches("interrupts", r"^Servicing hardware INT=0x", seen)
    check.matches("verify", r" 0 bad$", m.command("tc verify"))
    time.sleep(0.2)
    check("nothing more", open(path).read() == seen)
    check("the guest goes on", int(re.search(r"(\d+) of them chained", m.command("info tc")).group(1)) > 20)
    check("another file", m.command(f"logfile {second}") == "" and m.command("log ioport") == "")
    time.sleep(0.3)
    m.command("log none")
    check.matches("there", r"^(in|out) ", open(second).read())
    check("the first stays", open(path).read() == seen)
    check.matches("no such directory", r"cannot write '/nonexistent/x'", m.command("logfile /nonexistent/x"))
    os.mkfifo(vm.path("pipe"))
    check.matches("a pipe", r"cannot write '.*': neither a regular file nor", m.command(f"logfile {vm.path('pipe')}"))
    check.matches("no such class", r"unknown log class 'foo'", m.command("log foo"))
    check("ends well", vm.end() == 0)


if not os.path.exists(os.path.join(GUESTS, "task_switch.elf")):
    print(f"no test kernels in {GUESTS}")
    sys.exit(77)
translation()
execution()
events()
at_run_time()
kept_for_the_end()
check.finish()
