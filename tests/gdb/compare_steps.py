# Single-step a guest in ringfence and in QEMU through their gdb servers and compare the general registers, EIP and the
# selectors after each instruction. Runs inside gdb for its Python only: the protocol is spoken here, to both.
#
# Both start at the same instruction with the same registers and low memory (copied from ringfence to QEMU). What an
# instruction takes from outside (time, the processor's model, devices) may differ: then QEMU is given
# ringfence's value, and the instruction is counted. Any other difference fails.
import os
import socket
import struct
import sys

NAMES = "eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs".split()
EIP, EFLAGS, CS = 8, 9, 10
CS_BASE = 41  # one of ringfence's own
# Opcodes whose results come from outside, and why they differ.
OUTSIDE = {
    0xE4: "in", 0xE5: "in", 0xEC: "in", 0xED: "in", 0x6C: "ins", 0x6D: "ins",
    0x0F31: "rdtsc", 0x0FA2: "cpuid", 0x0F32: "rdmsr",
    0x0F20: "mov from CR",  # CR0 at the start: CD and NW are set after a real reset, QEMU clears them
}
STRING = {0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF, 0x6C, 0x6D, 0x6E, 0x6F}
PREFIXES = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3}
ARITH = 0x8D5


class Stub:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.buffer = b""
        self.ask("qSupported")
        self.ask("QStartNoAckMode")
        self.ask("qXfer:features:read:target.xml:0,ff")  # QEMU has P only for those who asked

    def send(self, text):
        data = text.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 255))

    def receive(self):
        while True:
            start = self.buffer.find(b"$")
            end = self.buffer.find(b"#", start)
            if start >= 0 and end >= 0 and len(self.buffer) >= end + 3:
                packet = self.buffer[start + 1:end]
                self.buffer = self.buffer[end + 3:]
                return packet.decode("latin1")
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("the other side is gone")
            self.buffer += more

    def ask(self, text):
        self.send(text)
        return self.receive()

    def registers(self):
        return list(struct.unpack("<16I", bytes.fromhex(self.ask("g")[:128])))

    def set(self, number, value):
        answer = self.ask("P%x=%s" % (number, struct.pack("<I", value).hex()))
        assert answer == "OK", (NAMES[number], answer)

    def read(self, at, size):
        answer = self.ask("m%x,%x" % (at, size))
        return b"" if answer.startswith("E") else bytes.fromhex(answer)

    def write(self, at, data):
        assert self.ask("M%x,%x:%s" % (at, len(data), data.hex())) == "OK", hex(at)

    def step(self):
        return self.ask("s")

    def run_to(self, at):
        assert self.ask("Z1,%x,1" % at) == "OK"
        self.ask("c")
        assert self.ask("z1,%x,1" % at) == "OK"


def opcode(code):
    repeated = False
    for i, byte in enumerate(code):
        if byte in PREFIXES:
            repeated |= byte in (0xF2, 0xF3)
            continue
        if byte == 0x0F:
            return 0x0F00 | code[i + 1], False, i + 2
        return byte, repeated and byte in STRING, i + 1
    return 0, False, 0


def describe(count, code, before, ours, theirs):
    print("after %d instructions, at %#x: %s" % (count, before[EIP], code.hex()))
    for name, a, b, c in zip(NAMES, before, ours, theirs):
        print("  %-6s before %08x  ringfence %08x  QEMU %08x%s" % (name, a, b, c, "  <--" if b != c else ""))


def same_start(ringfence, qemu):
    start = ringfence.registers()
    qemu.run_to(start[EIP])
    for at in range(0, 0xA0000, 1024):  # QEMU takes packets of 4 KiB
        block = ringfence.read(at, 1024)
        if block != qemu.read(at, 1024):
            qemu.write(at, block)
    for number in list(range(8)) + [EFLAGS]:
        qemu.set(number, start[number])
    theirs = qemu.registers()
    assert theirs[:EIP + 1] == start[:EIP + 1], (start, theirs)
    return start


# Selectors that the loaders chose differently are compared from their first change on.
def alike(ours, theirs, start, selectors):
    selectors.update(i for i in range(10, 16) if ours[i] != start[i])
    return all(ours[i] == theirs[i] for i in [*range(9), *selectors])


def compare(ringfence, qemu, steps):
    before = start = same_start(ringfence, qemu)
    selectors, outside, flags, repeats, idle = set(), {}, {}, 0, 0
    base = 0
    for count in range(steps):
        code = ringfence.read(base + before[EIP], 15)
        op, repeated, length = opcode(code)
        ringfence.step()
        ours = ringfence.registers()
        if repeated:  # QEMU stops after each iteration
            repeats += 1
            while ours[EIP] == before[EIP]:
                ringfence.step()
                ours = ringfence.registers()
            if qemu.registers()[EIP] != ours[EIP]:
                qemu.run_to(base + ours[EIP])
        else:
            qemu.step()
        theirs = qemu.registers()
        if theirs == before and ours != before:
            # QEMU says now and then that a step is over before the instruction was executed
            idle += 1
            qemu.step()
            theirs = qemu.registers()
        if not alike(ours, theirs, start, selectors):
            if op not in OUTSIDE or ours[EIP] != theirs[EIP]:
                describe(count, code, before, ours, theirs)
                return False
            outside[OUTSIDE[op]] = outside.get(OUTSIDE[op], 0) + 1
            for number in range(8):
                if ours[number] != theirs[number]:
                    qemu.set(number, ours[number])
        if ours[EFLAGS] != theirs[EFLAGS]:  # the manual leaves some undefined
            if (ours[EFLAGS] ^ theirs[EFLAGS]) & ~ARITH & ~0x10000:
                describe(count, code, before, ours, theirs)
                return False
            flags["%x" % op] = flags.get("%x" % op, 0) + 1
            qemu.set(EFLAGS, ours[EFLAGS])
        if ours[CS] != before[CS]:
            base = int.from_bytes(bytes.fromhex(ringfence.ask("p%x" % CS_BASE)), "little")
        before = ours
    print("%d instructions alike; repeated string instructions %d; from outside: %s; undefined flags by opcode: %s; QEMU stood still: %d"
          % (steps, repeats, outside, flags, idle))
    return True


ok = compare(Stub(os.environ["RINGFENCE_SOCKET"]), Stub(os.environ["QEMU_SOCKET"]), int(os.environ["STEPS"]))
sys.stdout.flush()
os._exit(0 if ok else 1)
