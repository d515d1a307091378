#!/usr/bin/env python3
"""The views of the translation cache.   tc.py RINGFENCE"""
import re
import time

from harness import Checks, Vm

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
    check.matches("default events", r"^recorded: translate revive invalidate evict form gear$", m.command("tc trace off"))
    check.matches("on", r"^recorded: .*chain .*hidden fault$", m.command("tc trace on"))
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


vm = Vm()
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
check.matches("info callouts", r"^ +\d+  out +port I/O$", m.command("info callouts"))
check.matches("verify", r"^\d+ CCFs verified, 0 bad$", m.command("tc verify"))
check.matches("verify what", r"nothing more", m.command("tc verify x"))
traces(m)
check.matches("verify again", r"^\d+ CCFs verified, 0 bad$", m.command("tc verify"))
check.matches("no such view", r"unknown view 'foo'", m.command("tc foo"))
check.matches("no view", r"parameter is missing", m.command("tc"))
m.command("cont")
check.matches("unharmed", r"running", m.command("info status"))
check("ends well", vm.end() == 0)
check.finish()
