#!/usr/bin/env python3
"""Breakpoints on events, `next`, and what stops say.   breaks.py RINGFENCE GUEST

The guest (breaks.S) does everything once and in order. Each row of a table sets a breakpoint, goes on, and says where the guest must
stand and why. Every gear must do the same."""
import re
import subprocess
import sys
import time

from harness import Checks, Vm

check = Checks()
guest = sys.argv[2]
LOW = 0x7000
symbols = {}
for line in subprocess.run(["nm", guest], capture_output=True, text=True, check=True).stdout.splitlines():
    value, kind, name = line.split()
    symbols[name] = int(value, 16)


def number(m, expression):
    return int(m.command(f"p/x {expression}"), 16)


def wait_paused(m):
    for _ in range(2000):
        text = m.command("info status")
        if "paused" in text:
            return text
        time.sleep(0.005)
    return "runs on"


def address(where):
    return symbols[where] if where in symbols else LOW + symbols[where + "_offset"]


def go(m, what, where, why):
    """Continue; the guest must stop there, for this reason."""
    m.command("cont")
    status = wait_paused(m)
    at = number(m, "$cs.base + $eip")
    check(f"{what}: at {where}", at == address(where), f"{at:#x} instead of {address(where):#x}: {status}")
    check(f"{what}: why", re.search(why, status), status)


def stop_at(m, what, command, where, why):
    check(f"{what}: {command}", m.command(command) == "", command)
    go(m, what, where, why)


def only(m, what, command, where, why):
    stop_at(m, what, command, where, why)
    m.command("delete all")


def unmoved(m, what, command, where, why, *expressions):
    """Stop by a plain breakpoint first, and compare: what is held has done nothing."""
    m.command(f"break {address(where):#x}")
    go(m, what + " (plain)", where, "breakpoint at")
    m.command("delete all")
    before = [m.command("p/x " + e) for e in expressions]
    only(m, what, command, where, why)
    check(f"{what}: nothing has happened", before == [m.command("p/x " + e) for e in expressions], before)


def ports(m, gear):
    only(m, gear + " in", "break port 0x3ff", "in_scratch", r"about to read port 3ff \(1 byte\)")
    only(m, gear + " range", "break port 0x3f8-0x3ff w", "out_scratch", r"about to write port 3ff \(1 byte\)")
    check("a word that begins below", m.command("break port 0x81 w") == "")
    go(m, gear + " word", "out_scratch_word", r"about to write port 080 \(2 bytes\)")
    check.matches("hits", r"^0: writes of port 081, 1 hits$", m.command("info breakpoints"))
    m.command("delete 0")
    only(m, gear + " outs", "break port 0x80 rw", "outs_scratch", r"about to write port 080 \(1 byte\)")
    check("the repeated one has not begun", number(m, "$ecx") == 3)
    check.matches("step does all of it", f"^stepped: {symbols['ports_done']:#010x}", m.command("step"))
    check("through", number(m, "$ecx") == 0)


def step_over(m, gear):
    def expect(what, command, where):
        text = m.command(command)
        check(f"{gear} {what}", re.match(f"stepped: {symbols[where]:#010x}", text), text)

    m.command(f"break {symbols['call_here']:#x}")
    go(m, gear + " call", "call_here", "breakpoint at")
    m.command("delete all")
    expect("next over a call", "next", "call_back")
    check("the call was made", number(m, "$eax") == 0)
    for _ in range(3):
        m.command("next")
    expect("next over a repeated instruction", "next", "rep_back")
    check("all of it", number(m, "$ecx") == 0)
    expect("next over INT", "n", "int_back")
    m.command("next")
    expect("to the next block", "next block", "block")
    expect("round the loop", "next block", "block_fall")
    expect("over a jump", "next block", "block_target")
    check.matches("next of what", "'block' or nothing", m.command("next foo"))


def recursion(m, gear):
    """In the middle of it: the call comes back once, the address is passed twice."""
    m.command(f"break {symbols['recursive_call']:#x}")
    go(m, gear + " recursive call", "recursive_call", "breakpoint at")
    m.command("delete all")
    stack = number(m, "$esp")
    text = m.command("next")
    check(gear + " next in a recursion", re.match(f"stepped: {symbols['recursive_back']:#010x}", text), text)
    check(gear + " at its own level", number(m, "$esp") == stack)


def exceptions(m, gear):
    only(m, gear + " CR3", "break cr 3", "cr3_write", r"about to write CR3: 00000000 -> 0010")
    unmoved(m, gear + " paging on", "break cr 0 0x80000000", "paging_on", r"about to write CR0: (\w)0000011 -> \w0000011", "$cr0")
    only(m, gear + " mode", "break mode paging", "paging_is_on", r"protected mode, ring 0, paging off -> .*paging on")
    stop_at(m, gear + " #UD", "break exception #UD", "ud_here", r"about to raise exception 6 \(#UD\), error code 0000")
    go(m, gear + " #UD again", "ud_again", r"about to raise exception 6")
    check.matches("counted", r"^0: exception 6 \(#UD\), 2 hits", m.command("info breakpoints"))
    m.command("delete all")
    esp = number(m, "$esp")
    text = m.command("step")
    check(gear + " delivered by the step", number(m, "$eip") == symbols["ud_handler"] and number(m, "$esp") == esp - 12, text)
    m.command("break exception #pf 2")
    m.command("break exception 14 1")
    go(m, gear + " #PF by error code", "pf_write", r"exception 14 \(#PF\), error code 0002, address 00800004")
    check("CR2 is the last one's still", number(m, "$cr2") == 0x800000)
    m.command("delete all")
    only(m, gear + " #DF", "break exception 8", "df_handler", r"delivered exception 8 \(#DF\), error code 0000")


def control(m, gear):
    check("no such register", "control registers 0, 2, 3, 4" in m.command("break cr 1"))
    stop_at(m, gear + " CR0 any", "break cr 0", "ts_same", r"about to write CR0: (\w+) -> \1")
    m.command("delete all")
    stop_at(m, gear + " CR0.TS", "break cr 0 8", "ts_set", r"about to write CR0: \w+1 -> \w+9")
    go(m, gear + " CLTS", "ts_clear", r"about to write CR0: \w+9 -> \w+1")
    go(m, gear + " LMSW", "lmsw_here", r"about to write CR0: \w+1 -> \w+b")
    m.command("delete all")
    only(m, gear + " CR4", "break cr 4", "cr4_same", r"about to write CR4: 00000010 -> 00000010")
    only(m, gear + " task switch", "break cr 3", "second_task", r"a task switch has written CR3: 0010\w+ -> 0010")


def rings(m, gear):
    only(m, gear + " to ring 3", "break mode ring", "user", r"ring 0, paging on -> protected mode, ring 3")
    unmoved(m, gear + " INT n in ring 3", "break interrupt 0x42", "user_int", r"about to execute INT 66", "$cs", "$esp", "$eflags")
    only(m, gear + " #UD in ring 3", "break exception UD", "user_ud", r"exception 6 \(#UD\)")
    check("in ring 3 still", number(m, "$cpl") == 3)
    stop_at(m, gear + " delivered", "break mode ring", "ud_handler", r"ring 3, paging on -> protected mode, ring 0")
    m.command("delete all")
    m.command(f"break {symbols['user_sysenter']:#x}")
    go(m, gear, "user_sysenter", "breakpoint at")
    m.command("delete all")
    stop_at(m, gear + " SYSENTER", "break mode ring", "sysenter_entry", r"ring 3, paging on -> protected mode, ring 0")
    go(m, gear + " SYSEXIT", "user_back", r"ring 0, paging on -> protected mode, ring 3")
    go(m, gear + " INT", "back_handler", r"ring 3, paging on -> protected mode, ring 0")
    m.command("delete all")


def interrupts(m, gear):
    m.command("break interrupt all")
    m.command("cont")
    status = wait_paused(m)
    at = number(m, "$eip")
    check(gear + " interrupt", "about to take interrupt 32" in status, status)
    check("it has not come yet", symbols["wait_irq"] <= at < symbols["irq_done"], hex(at))
    check.matches("described", "^0: all interrupts, 1 hits", m.command("info breakpoints"))
    m.command("delete all")
    m.command("step")
    check(gear + " it comes with the step", number(m, "$eip") == symbols["irq_handler"])
    m.command("break interrupt 2")
    m.command(f"break {symbols['nmi_wait']:#x}")
    go(m, gear, "nmi_wait", "breakpoint at")
    m.command("delete 1")
    m.command("nmi")
    m.command("cont")
    status = wait_paused(m)
    check(gear + " NMI", "about to take an NMI" in status, status)
    check("not yet", number(m, "$cs") == 8 and symbols["nmi_wait"] <= number(m, "$eip") < symbols["nmi_done"])
    m.command("delete all")
    m.command("step")
    check(gear + " the NMI comes with the step", number(m, "$eip") == symbols["nmi_handler"])


def old_modes(m, gear):
    stop_at(m, gear + " vm86", "break mode vm86", "vm86_first", r"protected mode, ring 0, paging on -> virtual-8086 mode, ring 3")
    only(m, gear + " INT in vm86", "break exception GP", "vm86_int", r"exception 13 \(#GP\), error code 0000")
    only(m, gear + " out of vm86", "break mode", "gp_handler", r"virtual-8086 mode, ring 3, paging on -> protected mode, ring 0")
    only(m, gear + " paging off", "break mode", "paging_is_off", r"paging on -> protected mode, ring 0, paging off")
    only(m, gear + " real mode", "break mode protected", "real_first", r"-> real mode, ring 0, paging off")
    only(m, gear + " port in real mode", "break port 128 w", "real_out", r"about to write port 080")
    only(m, gear + " INT in real mode", "break interrupt 0x42", "real_int", r"about to execute INT 66")
    only(m, gear + " end", f"break {symbols['finished']:#x}", "finished", "breakpoint at")


def bad_words(m):
    for command, error in (("break port", "parameter is missing"), ("break port 0x10000", "range of ports"),
                           ("break port 5-4", "range of ports"), ("break port 1-", "range of ports"), ("break port -1", "range of ports"),
                           ("break port 1 x", "one of r, w, rw"), ("break exception 32", "no such vector"),
                           ("break interrupt 256", "no such vector"), ("break exception", "unexpected end"),
                           ("break exception #ZZ", "invalid char"), ("break mode upside-down", "some of protected"),
                           ("break cr 5", "control registers"), ("break cr 0 1 2", "extraneous"),
                           ("break exception 14 0x100000000", "32 bits")):
        check.matches(command, error, m.command(command))
    check("none was set", m.command("info breakpoints") == "", m.command("info breakpoints"))


def run(gear):
    vm = Vm("-S", "-kernel", guest, "-m", "64", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-accel", gear)
    m = vm.monitor()
    if gear == "dbt":
        bad_words(m)
    for part in (ports, step_over, exceptions, control, rings, interrupts, old_modes):
        part(m, gear)
    m.command("cont")
    check(gear + ": the guest has noticed nothing", vm.wait() == 1)
    m.close()
    vm.end()
    vm = Vm("-S", "-kernel", guest, "-m", "64", "-accel", gear)
    m = vm.monitor()
    recursion(m, gear)
    m.close()
    check("ends", vm.end() == 0)


def busy(gear):
    """The demonstration guest, with timer interrupts, system calls and processes: stopped again and again, it loses nothing."""
    vm = Vm("-accel", gear)
    check("the guest speaks", vm.wait_serial("hello from ring 3"))
    m = vm.monitor()
    m.command("stop")
    for command, why, times in (("break interrupt 0x20", "about to take interrupt 32", 30), ("break mode ring", "the mode has changed", 30),
                                ("break interrupt 0x80", "about to execute INT 128", 5), ("break port 0x20", "about to write port 020", 10),
                                ("break exception all", "about to raise", 0)):
        check(command, m.command(command) == "")
        for _ in range(times):
            m.command("cont")
            status = wait_paused(m)
            check(f"{gear} {command}", why in status, status)
        check(f"{gear} {command}: counted", f", {times} hits" in m.command("info breakpoints") or not times)
        m.command("delete all")
    interrupts = int(re.search(r"^ 0: (\d+)$", m.command("info irq"), re.M)[1])
    m.command("cont")
    time.sleep(0.3)
    check(f"{gear}: the timer goes on", int(re.search(r"^ 0: (\d+)$", m.command("info irq"), re.M)[1]) > interrupts)
    m.close()
    check("ends", vm.end() == 0)


for gear in sys.argv[3:] or ("dbt", "interp", "dbt,lockstep=on", "dbt,lookup=on", "dbt,direct=on"):
    run(gear)
    busy(gear)
check.finish()
