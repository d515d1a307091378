#!/usr/bin/env python3
"""Every command of the human monitor by its text interface.   hmp.py RINGFENCE"""
import os
import re
import socket
import subprocess
import sys
import time

from harness import Checks, Monitor, Vm, strip

check = Checks()


def registers(m):
    return dict(re.findall(r"(\w+) ?= ?([0-9a-f]{4,})", m.command("info registers")))


def looking(m):
    text = m.command("help")
    for name in ("info", "x", "xp", "print|p", "sendkey", "tc", "quit|q"):
        check(f"help has {name}", re.search(rf"^{re.escape(name)}\b", text, re.M), text)
    check.matches("help of one", r"^memsave addr size file -- ", m.command("help memsave"))
    check.matches("help info", r"^info registers -- ", m.command("help info"))
    check.matches("help info mem", r"^info mem -- ", m.command("help info mem"))
    check.matches("help of none", r"^unknown command: 'foo'$", m.command("help foo"))
    check.matches("help tc", r"^tc show ADDR", m.command("help tc"))
    check.matches("unknown", r"^unknown command: 'foo'$", m.command("foo bar"))
    check.matches("unknown info", r"^unknown command: 'info foo'$", m.command("info foo"))
    check.matches("info alone lists", r"^info tlb -- ", m.command("info"))
    check("an empty line", m.command("") == "" and m.command("   ") == "")
    check.matches("version", r"^\d+\.\d+\.\d+$", m.command("info version"))
    check.matches("name", r"^test$", m.command("info name"))
    check.matches("uptime", r"^\d+\.\d+ seconds since the start", m.command("info uptime"))
    check.matches("cpus", r"^\* CPU #0: thread_id=\d+", m.command("info cpus"))
    check.matches("kvm", r"^kvm support: ", m.command("info kvm"))
    check.matches("chardev", r"^monitor0: filename=unix:", m.command("info chardev"))
    check.matches("stats", r"-- mmu", m.command("info stats"))
    check.matches("too many words", r"extraneous characters at the end of line", m.command("info name x"))


def machine(m):
    text = m.command("info pic")
    check.matches("pic", r"^pic0: irr=[0-9a-f]{2} imr=[0-9a-f]{2} isr=[0-9a-f]{2} hprio=\d irq_base=20", text)
    check.matches("ioapic", r"^ioapic0: ver=0x11", text)
    check.matches("irq counts the timer", r"^ 0: \d+$", m.command("info irq"))
    check.matches("lapic", r"^LVT0\t 0x00000700 .*ExtINT", m.command("info lapic"))
    text = m.command("info mtree")
    check.matches("mtree ram", r"^  0000000000100000-0000000007ffffff \(prio 0, ram\): pc.ram$", text)
    check.matches("mtree i/o", r"^  0000000000000040-0000000000000043 \(prio 0, i/o\): pit$", text)


def memory(vm, m):
    m.command("stop")
    regs = registers(m)
    eip = int(regs["EIP"], 16)
    check("the kernel runs high", eip >= 0xC0000000, hex(eip))
    check.matches("x/i", rf"^0x{eip:08x}:  [0-9a-f]{{2}} ", m.command("x/2i $eip"))
    virtual = m.command("x/4xb $pc").split()
    physical = m.command(f"xp/4xb {eip - 0xC0000000:#x}").split()
    check("x has 8 digits, xp 16", virtual[0] == f"{eip:08x}:" and physical[0] == f"{eip - 0xC0000000:016x}:")
    check("x and xp see the same", virtual[1:] == physical[1:] and len(virtual) == 5, virtual)
    gpa = eip - 0xC0000000
    check.matches("gva2gpa", rf"^gpa: {gpa:#x}$", m.command("gva2gpa $eip"))
    check.matches("words", r"^000f0000: 0x[0-9a-f]{8} 0x[0-9a-f]{8} 0x[0-9a-f]{8} 0x[0-9a-f]{8}$", m.command("xp/4xw 0xf0000")[8:])
    check.matches("giant", r": 0x[0-9a-f]{16}$", m.command("xp/1xg 0xf0000"))
    check.matches("halves, decimal", r": +-?\d+ +-?\d+$", m.command("xp/2dh 0xf0000"))
    check.matches("unsigned", r": +\d+$", m.command("xp/1uw 0xf0000"))
    check.matches("octal", r": 0\d+$", m.command("xp/1ob 0xf0000"))
    check.matches("characters", r": '.+' '.+'", m.command("xp/2c 0xf0000"))
    check.matches("xp/i", r"^0x000f0000:  ", m.command("xp/1i 0xf0000"))
    check.matches("no memory there", r"^0000000000000000|Cannot access memory$", m.command("x/4xw 0x1000"))
    check.matches("device memory is not read", r"Cannot access memory$", m.command("xp/1xw 0xfee00000"))
    check.matches("bad format", r"^invalid char in format: 'z'$", m.command("x/4z 3"))
    check.matches("AT&T", r"%", "".join(m.command("x/20i $eip")))
    m.command("disas intel")
    check("Intel", "%" not in m.command("x/20i $eip"))
    m.command("disas att")
    check.matches("syntax", r"unknown syntax", m.command("disas motorola"))
    files(vm, m, eip)
    return regs


def files(vm, m, eip):
    a, b = vm.path("a"), vm.path("b")
    check("memsave is silent", m.command(f'memsave $eip 64 "{a}"') == "")
    check("pmemsave is silent", m.command(f"pmemsave {eip - 0xC0000000:#x} 64 {b}") == "")
    check("both saved the same", open(a, "rb").read() == open(b, "rb").read() and len(open(a, "rb").read()) == 64)
    check.matches("no such directory", r"^Error: Could not open", m.command("memsave 0 1 /nonexistent/x"))
    pipe = vm.path("pipe")
    os.mkfifo(pipe)
    check.matches("a pipe", r"^Error: Could not open '.*': neither a regular file nor", m.command(f"memsave $eip 1 {pipe}"))
    check("a character device", m.command("memsave $eip 1 /dev/null") == "")
    check.matches("memory that is not there", r"^Error: Invalid addr", m.command(f"pmemsave 0x100000000 4096 {a}"))


def expressions(m, regs):
    for text, value in (("1+2*3", 7), ("(1+2)*3", 9), ("0x10|3", 0x13), ("~0&0xff", 0xFF), ("-1", 2**64 - 1), ("7%4", 3),
                        ("'a'", 97), ("1^3", 2), ("010", 8)):
        check(f"p {text}", m.command(f"p/x {text}").strip() == hex(value), m.command(f"p/x {text}"))
    check("p/d", m.command("p/d -5") == "-5\n")
    check("p/u", m.command("p/u -1") == f"{2**64 - 1}\n")
    check("p/o", m.command("p/o 8") == "010\n")
    check("p/c", m.command("print/c 65") == "'A'\n")
    check("registers", int(m.command("p/x $esp"), 16) == int(regs["ESP"], 16))
    check("cr3", int(m.command("p/x $cr3"), 16) == int(regs["CR3"], 16))
    for text, error in (("1+", "unexpected end of expression"), ("$foo", "unknown register"), ("1/0", "division by zero"),
                        ("(1", "')' expected"), ("1 2", "extraneous"), ("x", "invalid char in expression"), ("(" * 500, "too deep"),
                        ("99999999999999999999", "too large")):
        check.matches(f"p {text[:10]}", re.escape(error), m.command(f"p {text}"))


def paging(m):
    mem = m.command("info mem")
    check.matches("info mem", r"^[0-9a-f]{16}-[0-9a-f]{16} [0-9a-f]{16} [u-]r[w-]$", mem)
    check.matches("the kernel's linear map", r"^00000000c0000000-", mem)
    check.matches("info tlb", r"^[0-9a-f]{16}: [0-9a-f]{16} [X-][G-][P-][D-][A-][C-][T-][U-][W-]$", m.command("info tlb"))
    check.matches("info windows", r"^ +0  supervisor", m.command("info windows"))
    check.matches("info worlds", r"^ +\d+  worlds made", m.command("info worlds"))
    check.matches("info snapshots", r"snapshots of page-table pages", m.command("info snapshots"))


def running(m):
    check.matches("stopped", r"^VM status: paused$", m.command("info status"))
    ips = set()
    for _ in range(4):
        text = m.command("step")
        check.matches("step", r"^stepped: 0x[0-9a-f]{8}:  ", text)
        ips.add(text.split()[1])
    check("steps move", len(ips) > 1, ips)
    check.matches("step n", r"^stepped: ", m.command("step 100"))
    check.matches("step 0", r"greater than 0", m.command("step 0"))
    m.command("cont")
    check.matches("running", r"^VM status: running$", m.command("info status"))
    before = m.command("info irq")
    time.sleep(0.3)
    check("interrupts come", m.command("info irq") != before)
    m.command("s")
    before = m.command("info irq")
    time.sleep(0.2)
    check("no interrupts while stopped", m.command("info irq") == before)
    check("x of the running guest", m.command("c") == "" and "0x" in m.command("x/1i $eip"))


def breakpoints(m):
    """The timer's handler comes by soon."""
    m.command("stop")
    text = m.command("step")
    for _ in range(200):
        at = int(text.split()[1].rstrip(":"), 16)
        if at >= 0xC0000000 and "iret" not in text and "hlt" not in text:
            break
        text = m.command("step")
    m.command(f"break {at:#x}")
    check.matches("info breakpoints", rf"^0: breakpoint at {at:08x}, 0 hits$", m.command("info breakpoints"))
    m.command("cont")
    for _ in range(100):
        if "paused" in m.command("info status"):
            break
        time.sleep(0.05)
    check("the breakpoint stopped it", int(m.command("p/x $eip"), 16) == at, m.command("info registers"))
    check("delete", m.command("delete 0") == "" and m.command("info breakpoints") == "")
    check.matches("delete again", r"^Error: no such breakpoint", m.command("delete 0"))
    m.command("watch $esp-4 4 w")
    check.matches("watchpoint", r"^0: write watchpoint at [0-9a-f]{8}, 4 bytes", m.command("info breakpoints"))
    check.matches("a bad watchpoint", r"one of r, w, rw", m.command("watch 0 4 q"))
    m.command("delete all")
    check("delete all", m.command("info breakpoints") == "")
    m.command("cont")
    check.matches("runs on", r"running", m.command("info status"))


def person(vm, m):
    check("sendkey", m.command("sendkey ctrl-alt-f1") == "" and m.command("sendkey a 10") == "")
    check.matches("no such key", r"^invalid parameter: zz$", m.command("sendkey a-zz"))
    check.matches("too many keys", r"too many keys", m.command("sendkey " + "-".join("a" * 17)))
    check.matches("no key", r"parameter is missing", m.command("sendkey"))
    check("log", m.command("log mmu,int") == "" and m.command("log none") == "")
    check.matches("log lists", r"^  mmu ", m.command("log"))
    check.matches("log of what", r"unknown log class", m.command("log foo"))
    check("nmi", m.command("nmi") == "")
    resets = int(re.search(r"(\d+)  resets", m.command("info stats")).group(1))
    m.command("system_reset")
    time.sleep(0.2)
    check("reset", f"{resets + 1}  resets" in m.command("info stats"))
    check("system_powerdown", m.command("system_powerdown") == "")


def editing(m):
    m.send(b"inf\tstatu\t\n")
    check.matches("completion", r"^VM status", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"break exc\t256\n")
    check.matches("completion of breakpoints", r"no such vector", m.read().decode(errors="replace"))
    m.send(b"info statu\t\n")
    m.read()
    m.send(b"\x10\n")
    check.matches("history", r"^VM status", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"info nameX\x7f\n")
    check.matches("backspace", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"nfo name\x01i\n")
    check.matches("beginning of line", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"zap info name\x01\x1bd\n")
    check.matches("M-d deletes a word", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"info name zap\x17\n")
    check.matches("Ctrl-W deletes a word", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"x" * 990 + b" " + b"y" * 20 + b"\x1b\x1f" * 40 + b"\x15info name\n")
    check.matches("M-^_ does nothing", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"x" * 2500 + b"\x01\x05" + b"y" * 1000 + b"\x15info name\n")
    check.matches("a line higher than any terminal", r"^test$", m.read().decode(errors="replace").replace("\r", ""))
    m.send(b"sendkey ctrl-al\t\t\x15\n")
    check.matches("completion lists", r"ctrl-alt_r", m.read().decode(errors="replace").replace("\r", ""))


def clients(vm):
    first, second = vm.monitor(0), vm.monitor(1)
    check("sessions of their own", first.command("info name") == second.command("info name") == "test\n")
    first.command("stop")
    check.matches("one guest", r"paused", second.command("info status"))
    waiting = vm.connect("monitor0")
    waiting.settimeout(0.3)
    try:
        check("a second client waits", waiting.recv(10) is None)
    except TimeoutError:
        check("a second client waits", True)
    first.close()
    waiting.settimeout(20)
    check.matches("and has its turn", r"Ringfence .* monitor", waiting.recv(1000).decode())
    waiting.close()
    second.command("cont")
    second.close()


vm = Vm(monitors=2)
check("the guest speaks", vm.wait_serial("hello from ring 3"))
m = vm.monitor()
check.matches("banner", rb"^Ringfence [0-9.]+ monitor - type 'help' for more information\r\n".decode(), m.banner.decode())
looking(m)
machine(m)
expressions(m, memory(vm, m))
paging(m)
running(m)
breakpoints(m)
editing(m)
person(vm, m)
m.close()
clients(vm)
m = vm.monitor()
m.send(b"quit\n")
check("quit", vm.wait() == 0)
vm.end()

vm = Vm("-S")
m = vm.monitor()
check.matches("-S", r"^VM status: paused \(prelaunch\)$", m.command("info status"))
m.command("cont")
check("then it runs", vm.wait_serial("hello from ring 3"))
check("ends", vm.end() == 0)

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
vm = Vm("-monitor", f"tcp:127.0.0.1:{port},server=on,wait=off", "-monitor", "none", "-monitor", "null", monitors=0)
for _ in range(100):
    try:
        m = Monitor(socket.create_connection(("127.0.0.1", port), 20))
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
check.matches("tcp", r"^test$", m.command("info name"))
check("ends", vm.end() == 0)

done = subprocess.run([sys.argv[1], "-display", "none", "-serial", "null", "-monitor", "stdio"], input=b"info version\nquit\n",
                      capture_output=True, timeout=30)
check.matches("stdio through pipes", r"^0\.", strip(done.stdout).decode())
check("status", done.returncode == 0, done)

vm = Vm("-accel", "interp")
m = vm.monitor()
check.matches("no TC with the interpreter", r"^Error: there is no translation cache", m.command("info tc"))
check.matches("registers with the interpreter", r"^EIP=", m.command("info registers"))
check("ends", vm.end() == 0)
check.finish()
