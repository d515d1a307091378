#!/usr/bin/env python3
"""The views of the translation cache.   tc.py RINGFENCE"""
import random
import re
import time

from harness import Checks, Vm, strip

check = Checks()
REASONS = ("ident", "window access", "stack, through the window", "exit", "chain: to CCF", "indirect", "callout: ", "look-up")


def rows(text):
    return [line.split() for line in text.splitlines()[1:-1]]


def lists(m):
    text = m.command("tc list")
    check.matches("header", r"^ +CCF  linear    physical   insns  guest   host", text)
    check.matches("how many", r"^50 of \d+$", text)
    sizes = [int(r[5]) for r in rows(m.command("tc list sort=size limit=20"))]
    check("sorted by size", len(sizes) == 20 and sizes == sorted(sizes, reverse=True), sizes)
    ages = [int(r[7].rstrip("%")) for r in rows(m.command("tc list sort=age 10"))]
    check("sorted by age", len(ages) == 10 and ages == sorted(ages, reverse=True), ages)
    samples = [int(r[9]) for r in rows(m.command("tc list sort=samples limit=5"))]
    check("sorted by samples", samples == sorted(samples, reverse=True), samples)
    calling = [int(n) for n in re.findall(r" callouts=(\d+)", m.command("tc list sort=callouts limit=20"))]
    check("sorted by callouts", len(calling) > 2 and calling == sorted(calling, reverse=True), calling)
    check("filter user", all(" user " in line for line in m.command("tc list filter=user").splitlines()[1:-1]))
    check("filter supervisor", " user " not in m.command("tc list filter=supervisor limit=1000"))
    check.matches("filter callouts", r"^\d+ of \d+$", m.command("tc list filter=callouts sort=expansion"))
    for bad in ("sort=foo", "filter=foo", "limit=x", "foo"):
        check.matches(f"tc list {bad}", r'^Try "help tc"', m.command(f"tc list {bad}"))
    return [int(r[1], 16) for r in rows(m.command("tc list filter=supervisor limit=100"))]


def shows(m, addresses):
    seen = ""
    for a in addresses:
        text = m.command(f"tc show {a:#x}")
        seen += text
        head = re.search(r"^CCF \d+ at [0-9a-f]{8}, gpa [0-9a-f]{8}, \w+: (\d+) instructions, (\d+) bytes -> (\d+) bytes", text, re.M)
        check(f"tc show {a:x}", head, text)
        guest = re.findall(rf"^  [0-9a-f]{{8}}  .*\|", text.split("\nCCF")[0], re.M)
        check(f"{a:x}: each guest instruction once", head and len(guest) == int(head.group(1)), text)
        lines = re.findall(r"\| [0-9a-f]{7}  (.*)$", text, re.M)
        check(f"{a:x}: each host instruction has a reason", lines and all(re.search(r"\S  +\S", l) for l in lines), text)
    for reason in REASONS[:-1]:
        check(f"some host code is there for: {reason}", reason in seen)
    user = [r[1] for r in rows(m.command("tc list filter=user limit=40"))]
    text = "".join(m.command(f"tc show 0x{a}") for a in user)
    check("user code has look-ups", "look-up access" in text, text[:300])
    check.matches("nothing there", r"^no translation covers this address", m.command("tc show 1"))


def whys(m, address):
    text = m.command(f"tc why {address:#x}")
    check.matches("tc why: what is there", rf"^  CCF \d+ at {address:08x} .* for supervisor", text)
    check.matches("tc why: what happened", rf"translate +{address:08x}  \d+ instructions, for supervisor 32-bit", text)
    check("tc why: no gear in the kernel", " user code " not in text and " gear " not in text, text)
    user = [r[1] for r in rows(m.command("tc list filter=user limit=1"))]
    text = m.command(f"tc why 0x{user[0]}")
    check.matches("tc why: the gear", r"^  in the present space, [1-9]\d*, user code (reaches memory|runs directly)", text)
    spaces = set(re.findall(r" gear +[0-9a-f]{8}  space (\d+):", text))
    check("tc why: events of that space's gear alone", spaces <= set(re.findall(r"present space, (\d+),", text)), text)
    check.matches("tc why of nothing", r"no translation covers it now", m.command("tc why 1"))
    check.matches("no address", r"unexpected end of expression", m.command("tc why"))
    check.matches("64 bits", r"addresses have 32 bits", m.command("tc why 0x100000000"))


def graphs(m, addresses):
    edges = ""
    for a in addresses[:20]:
        text = m.command(f"tc graph {a:#x}")
        check(f"graph of {a:x}", text.startswith("digraph chains {\n") and text.rstrip().endswith("}"), text)
        nodes = set(re.findall(r"^  (c\d+) \[", text, re.M))
        edges += text
        check("edges have ends", nodes.issuperset(re.findall(r"(c\d+) ->", text)), text)
    check.matches("chains", r"c\d+ -> c\d+", edges)
    check.matches("graph of nothing", r"^no live translation", m.command("tc graph 1"))


def traces(m):
    check.matches("default events", r"^recorded: translate revive move invalidate evict form gear world-lost$", m.command("tc trace off"))
    check.matches("on", r"^recorded: .*chain exit .*hidden refill fault interrupt .*world-lost$", m.command("tc trace on"))
    m.command("cont")
    time.sleep(0.3)
    m.command("stop")
    text = m.command("tc trace 500")
    check.matches("callouts are traced", r"^ +\d+\.\d{6}  callout +[0-9a-f]{8}", text)
    check("not more than asked for", len(text.splitlines()) <= 501)
    check.matches("one kind off", r"^recorded: (?!.*callout)", m.command("tc trace off callout"))
    check.matches("no such event", r"^events: translate", m.command("tc trace on foo"))
    check.matches("show", r"events recorded$", m.command("tc trace show 5"))
    check.matches("no number", r"how many", m.command("tc trace five"))
    m.command("tc trace off")


def lines_of(text):
    return re.findall(r"^ +\d+\.\d{6}  (\S+) +([0-9a-f]{8})", text, re.M)


def filters(m):
    m.command("tc trace on")
    m.command("cont")
    time.sleep(0.3)
    m.command("stop")
    seen = lines_of(m.command("tc trace 30 callout,interrupt"))
    check("by events", len(seen) == 30 and {kind for kind, _ in seen} <= {"callout", "interrupt"}, seen)
    address = [a for kind, a in lines_of(m.command("tc trace 2000")) if kind == "callout"][0]
    seen = lines_of(m.command(f"tc trace addr=0x{address}"))
    check("by address", seen and all(a == address for _, a in seen), seen)
    seen = lines_of(m.command(f"tc trace addr=0x{address}+0x100 50"))
    low = int(address, 16)
    check("by range", seen and all(low <= int(a, 16) < low + 0x100 for _, a in seen), seen)
    kernel, user = (lines_of(m.command(f"tc trace mode={mode} limit=40")) for mode in ("kernel", "user"))
    check("kernel", len(kernel) == 40 and all(int(a, 16) >= 0xC0000000 for _, a in kernel), kernel)
    check("user", all(int(a, 16) < 0xC0000000 or kind == "gear" for kind, a in user), user)
    check.matches("lean path", r"callout +[0-9a-f]{8}  lean path: (IRET|POPF|INT|MOV)", m.command("tc trace 20000 callout"))
    for bad in ("addr=5..4", "addr=", "mode=foo", "limit=0", "limit=x", "chain,", "on mode=user"):
        check.matches(f"tc trace {bad}", r'^Try "help tc"', m.command(f"tc trace {bad}"))
    m.command("tc trace off")


def live(vm, m):
    other = vm.monitor(1)
    m.command("cont")
    text = m.command("tc trace live limit=25")
    check("as many as asked for", len(lines_of(text)) == 25, text)
    check.matches("the sum", r"^25 events shown, \d+ lost$", text)
    text = m.command("tc trace live callout mode=kernel limit=6")
    check("those asked for", [kind for kind, _ in lines_of(text)] == ["callout"] * 6, text[-300:])
    m.send(b"tc trace live\n")
    time.sleep(0.2)
    m.send(b"\n")
    check.matches("Enter ends it", r"^\d+ events shown, \d+ lost$", strip(m.read()).replace(b"\r", b"").decode())
    m.send(b"tc trace live\n")
    time.sleep(0.2)
    m.send(b"\x03")
    check.matches("Ctrl-C ends it", r"^\d+ events shown, \d+ lost$", strip(m.read()).replace(b"\r", b"").decode())
    m.send(b"tc trace live\n")
    time.sleep(0.2)
    m.send(b"info name\n")
    check.matches("a command ends it and is carried out", r"events shown.*\n(.*\n)*test$", strip(m.read()).replace(b"\r", b"").decode())
    m.send(b"tc trace live\n")
    time.sleep(0.2)
    check.matches("stopped by another", r"^1 live traces stopped$", other.command("tc trace stop"))
    check.matches("it has ended", r"events shown", strip(m.read()).decode())
    check.matches("nothing more is recorded", r"^recorded: translate revive move invalidate evict form gear world-lost$", m.command("tc trace off"))
    for bad in ("foo", "addr=x", "limit=-1"):
        check.matches(f"live {bad}", r'^Try "help tc"', m.command(f"tc trace live {bad}"))
    # nobody reads and much happens: the guest goes on, and what was lost is counted
    other.command("log nochain")
    m.send(b"tc trace live\n")
    dispatches = lambda: int(re.search(r"^ +dispatches +(\d+)", other.command("info tc"), re.M).group(1))
    before, deadline = dispatches(), time.monotonic() + 30
    while dispatches() < before + 70000 and time.monotonic() < deadline:
        time.sleep(0.1)
    check("the guest goes on", dispatches() >= before + 70000, before)
    m.send(b"\n")
    text = strip(m.read()).replace(b"\r", b"").decode()
    other.command("log none")
    lost = int(re.search(r"^\d+ events shown, (\d+) lost$", text, re.M).group(1))
    check("losses are told", lost > 1000, lost)
    check.matches("at their place", r"^ +\(\d+ events lost: they came faster than they were taken\)$", text)
    m.send(b"tc trace live\n")
    time.sleep(0.1)
    m.close()  # the peer goes away
    time.sleep(0.3)
    m = vm.monitor()
    check.matches("closed", r"^0 live traces stopped$", m.command("tc trace stop"))
    check.matches("needs a session", r"live events need a session", vm.qmp().command("human-monitor-command", command_line="tc trace live")["return"])
    m.command("stop")
    return m


def noise(vm, m):
    """Random arguments, mostly nearly right."""
    rng = random.Random(5)
    words = ("live live live show on off stop chain,miss callout,fault exit, refill hidden addr=0..5 addr=0xc0100000+0x1000 addr=9-5 addr= "
             "addr=0xffffffffffffffffff mode=user mode=kernel mode= limit=3 limit=0 limit=99999999999999999999 7 -1 , = ''").split()
    m.command("cont")
    for _ in range(300):
        line = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 5)))
        # the second line ends what is live, and is a command of its own otherwise
        m.send(f"tc trace {line}\ninfo name\n".encode())
        m.read(b"\ntest\r\n")
    check.matches("none is left", r"^0 live traces stopped$", m.command("tc trace stop"))
    m.command("tc trace off")
    m.command("stop")


def worlds():
    """User code that runs directly."""
    vm = Vm("-accel", "dbt,direct=on")
    check("the guest runs directly", vm.wait_serial("hello from ring 3"))
    if "runs translated" in open(vm.path("stderr")).read():
        vm.end()
        return  # the host does not let worlds be
    m = vm.monitor()
    text = m.command("tc trace live world-enter,world-leave,world-map,interrupt limit=300")
    check("worlds are entered and left", {"world-enter", "world-leave"} <= {kind for kind, _ in lines_of(text)}, text[:500])
    check.matches("entered where", r"world-enter +00[0-9a-f]{6}  space \d+$", text)
    check.matches("left for a reason", r"world-leave +00[0-9a-f]{6}  (kicked|page fault at [0-9a-f]{8}|trap \d+ \(signal \d+\))$", text)
    kinds = [kind for kind, _ in lines_of(text) if kind in ("world-enter", "world-leave")]
    check("one after the other", all(a != b for a, b in zip(kinds, kinds[1:])), kinds)
    # every block: none by a world
    m.command("log nochain")
    text = m.command("tc trace live world-enter,interrupt limit=20")
    check("not while each block is looked at", {kind for kind, _ in lines_of(text)} == {"interrupt"}, text)
    m.command("log none")
    check("ends well", vm.end() == 0)


worlds()
vm = Vm(monitors=2, qmps=1)
check("the guest runs", vm.wait_serial("hello from ring 3"))
m = vm.monitor()
time.sleep(0.5)
m.command("stop")
text = m.command("info tc")
for pattern in (r"^CCFs +\d+ live, \d+ dormant", r"^expansion +\d+\.\d\d host bytes", r"^direct exits +\d+, \d+ of them chained",
                r"^ +translations +\d+"):
    check.matches("info tc", pattern, text)
addresses = lists(m)
shows(m, addresses)
whys(m, addresses[0])
graphs(m, addresses)
check.matches("info callouts", r"^ +\d+  lgdt +privileged$", m.command("info callouts"))
check.matches("verify", r"^\d+ CCFs verified, 0 bad$", m.command("tc verify"))
check.matches("verify what", r"nothing more", m.command("tc verify x"))
traces(m)
filters(m)
m = live(vm, m)
noise(vm, m)
check.matches("verify again", r"^\d+ CCFs verified, 0 bad$", m.command("tc verify"))
check.matches("no such view", r"unknown view 'foo'", m.command("tc foo"))
check.matches("no view", r"parameter is missing", m.command("tc"))
m.command("cont")
check.matches("unharmed", r"running", m.command("info status"))
check("ends well", vm.end() == 0)
check.finish()
