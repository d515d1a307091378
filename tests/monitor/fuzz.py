#!/usr/bin/env python3
"""Both parsers with random and mutated input, always the same: the VM must live on and answer.   fuzz.py RINGFENCE [SEED [ROUNDS [VMM OPTIONS...]]]"""
import random
import socket
import sys
import time

from harness import Checks, Vm

check = Checks()
rng = random.Random(int(sys.argv[2]) if sys.argv[2:] else 20261120)
rounds = int(sys.argv[3]) if sys.argv[3:] else 1
WORDS = ("help info x xp print p step break watch delete disas gva2gpa log sendkey nmi tc list show why graph verify trace counts mem tlb "
         "registers windows snapshots callouts pic lapic irq mtree all on off none sort=size limit=3 filter=user ctrl-alt-f1 a-b "
         "/4xw /2i /9999999999xg /c /i $eip $esp $cs $zz 0 -1 0xffffffff 0x100000000 99999999999999999999 1/0 (((( ) ' \" | r w rw "
         "$eip+4*2 ~0 'a' ' next n block stop cont c").split()
# breakpoints of all kinds, mostly as they should be, so that the guest meets them
BREAK = ("port 0x20-0x3ff|port 0x3f8 w|port 0-0xffff r|port 5-4|port 99999999999999999999-1|exception all|exception #PF 2|exception 14 4 0|"
         "exception 0x20|interrupt all|interrupt 0x20|interrupt 2|interrupt 0x80|cr 3|cr 0 8|cr 1|cr 4 0xffffffff|mode|mode ring|"
         "mode paging vm86 ring|mode x|$eip|0xc0103000|port|cr|exception #").split("|")
# what would end or disturb the test, or fill the disk
FORBIDDEN = ("quit", "q", "memsave", "pmemsave")


def hmp_lines():
    for _ in range(600):
        words = [rng.choice(WORDS) for _ in range(rng.randrange(1, 6))]
        if words[0] in ("step",):
            words[1:] = ["3"]
        if rng.random() < 0.2:
            words = ["break", rng.choice(BREAK)]
        if rng.random() < 0.2:
            words = [rng.choice(("cont", "next", "next block", "stop", "step 5", "delete all", "delete 0", "info breakpoints", "info status",
                                 "nmi", "system_reset"))]
        yield " ".join(words).encode()
    for n in (1, 100, 4000, 4095, 4096, 4097, 20000):
        yield b"p " + b"(" * n
        yield b"x" * n


def hmp_keys():
    """Control characters and escape sequences for the line editor; nothing that could be a word of FORBIDDEN."""
    alphabet = [bytes([c]) for c in range(256) if c not in b"\r\nqQ"] + [b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1bb",
                b"\x1bf", b"\x1bd", b"\x1b9", b"\x1bx", b"\x1b[3~", b"\t", b"\x19", b"\x0b", b"\x01", b"\x05"] * 8
    for _ in range(300):
        yield b"".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 60)))


def drain(s, seconds=0.02):
    s.settimeout(seconds)
    try:
        while s.recv(1 << 16):
            pass
    except (TimeoutError, BlockingIOError):
        pass
    s.settimeout(30)


def fuzz_hmp(vm):
    m = vm.monitor()
    for i, line in enumerate(hmp_lines()):
        if line.split()[:1] and line.split()[0].decode() in FORBIDDEN:
            continue
        m.send(line + b"\n")
        drain(m.s, 0.002)
    for keys in hmp_keys():
        m.send(keys + b"\x03\x15\n")
        drain(m.s, 0.002)
    m.close()
    m = vm.monitor()
    check("the monitor answers", m.command("info name") == "test\n")
    m.close()


def mutate(text):
    data = bytearray(text)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(4)
        if what == 0:
            data.insert(at, rng.randrange(256))
        elif what == 1 and data:
            del data[rng.randrange(len(data))]
        elif what == 2 and data:
            data[rng.randrange(len(data))] = rng.choice(b"{}[]\"'\\:,0 \n\xff\x00")
        else:
            data[at:at] = data[: rng.randrange(len(data) + 1)]
    return bytes(data)


SEEDS = [b'{"execute":"query-status","id":1}', b"{'execute':'query-version'}", b'{"execute":"stop"}', b'{"execute":"cont"}',
         b'{"execute":"human-monitor-command","arguments":{"command-line":"info registers","cpu-index":0}}',
         b'{"execute":"qmp_capabilities","arguments":{"enable":[]}}', b'{"a":"\\u0000\\ud800","b":1e999,"c":-0,"d":[[[{}]]]}',
         b'{"execute":"query-status","arguments":{},"arguments":{"x":null}}', b'{"execute":"inject-nmi","id":{"x":[1,2,3]}}']


def fuzz_qmp(vm):
    q = vm.qmp()
    for _ in range(2500):
        q.send(mutate(rng.choice(SEEDS)))
        if rng.random() < 0.05:
            drain(q.s, 0.001)
    q.send(b'{"x":"' + b"A" * (3 << 20) + b"\n")
    drain(q.s, 0.2)
    q.close()
    q = vm.qmp()
    check("QMP answers", q.command("query-name") == {"return": {"name": "test"}})
    q.close()


def rude(vm):
    """Clients that go away in the middle, or read nothing."""
    for _ in range(20):
        s = vm.connect("monitor0")
        s.sendall(b"info tlb\n" * 20)
        s.close()
    for _ in range(20):
        s = vm.connect("qmp0")
        s.sendall(b'{"execute":"qmp_capabilities"}{"execute":"query-comm')
        s.close()
    s = vm.connect("monitor0")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.sendall(b"info mtree\n" * 300)
    time.sleep(0.3)
    check("a second monitor works meanwhile", vm.monitor(1).command("info name") == "test\n")
    s.close()


def session(vm):
    check("the guest runs", vm.wait_serial("hello from ring 3"))
    fuzz_hmp(vm)
    check("alive", vm.alive())
    fuzz_qmp(vm)
    check("alive", vm.alive())
    rude(vm)
    check("alive", vm.alive())
    m = vm.monitor()
    check("the monitor answers at last", m.command("info name") == "test\n")
    m.command("delete all")
    m.command("cont")
    m.command("cont")
    check.matches("the guest can run", "running|debug", m.command("info status"))


for _ in range(rounds):
    vm = Vm(*sys.argv[4:], monitors=2, qmps=1)
    try:
        session(vm)
    finally:
        check("status 0", vm.end() == 0)
check.finish()
