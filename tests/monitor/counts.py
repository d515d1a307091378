#!/usr/bin/env python3
"""Execution counts of a guest whose blocks are executed a known number of times.   counts.py RINGFENCE KERNEL"""
import re
import subprocess
import sys

from harness import Checks, Vm

ROUNDS, CALLS = 3000000, 250000  # as in counted.S
check = Checks()
symbols = {name: int(at, 16) for at, _, name in
           (line.split() for line in subprocess.run(["nm", sys.argv[2]], capture_output=True, text=True, check=True).stdout.splitlines())}


def executions(m, name):
    """Of all units that begin there."""
    text = m.command(f"tc list sort=executions limit=100000")
    columns = [line.split() for line in text.splitlines()[1:-1]]
    return sum(int(c[10]) for c in columns if int(c[1], 16) == symbols[name])


def expect(m, accel):
    # what is chained, called, returned to and come back to after the monitor's stops, each entered once
    for name, count in (("_start", 1), ("loop", ROUNDS), ("call", CALLS), ("leaf", CALLS), ("after", CALLS)):
        check(f"{accel}: {name}", executions(m, name) == count, (executions(m, name), count))


for accel in ("dbt,counts=on", "dbt,counts=on,lockstep=on", "dbt,counts=on,verify=on,tc-size=1"):
    vm = Vm("-kernel", sys.argv[2], "-accel", accel)
    m = vm.monitor()
    for _ in range(20):
        m.command("stop")
        m.command("cont")
    check(f"{accel}: the guest counts", vm.wait_serial("counted"))
    m.command("stop")
    expect(m, accel)
    counts = [int(line.split()[10]) for line in m.command("tc list sort=executions").splitlines()[1:-1]]
    check("sorted", counts == sorted(counts, reverse=True) and counts[0] == ROUNDS, counts)
    text = m.command(f"tc show {symbols['loop']:#x}")
    check.matches("tc show", rf", {ROUNDS} executions; ", text)
    check.matches("the counting code is explained", r"\(execution count\) .*r14.*table of counters$", text)
    check.matches("tc why", rf"executed {ROUNDS} times$", m.command(f"tc why {symbols['loop']:#x}"))
    check.matches("info tc", r"^execution counts +on$", m.command("info tc"))
    check.matches("verified", r"^\d+ CCFs verified, 0 bad$", m.command("tc verify"))
    check("ends well", vm.end() == 0)

# switched on and off while the guest runs
vm = Vm("-kernel", sys.argv[2])
m = vm.monitor()
check.matches("off at first", r"^executions are not counted$", m.command("tc counts"))
check.matches("no sorting by what is not there", r"tc counts on", m.command("tc list sort=executions"))
check("no column", "executions" not in m.command("tc list"))
check.matches("on", r"^executions are counted$", m.command("tc counts on"))
check.matches("on or off", r"^on or off$", m.command("tc counts 1"))
check("the guest goes on", vm.wait_serial("counted"))
m.command("system_reset")
check("again", vm.wait_serial("counted\ncounted"))
m.command("stop")
expect(m, "after a reset")
m.command("tc counts off")
check("emptied", re.search(r"^CCFs +0 live", m.command("info tc"), re.M))
m.command("system_reset")
m.command("cont")
check("a third time", vm.wait_serial("counted\ncounted\ncounted"))
m.command("stop")
check("off again", "execution" not in m.command(f"tc show {symbols['loop']:#x}"))
check("ends well", vm.end() == 0)
check.finish()
