# Connections that send packets good, bad and broken, and vanish at any moment. Runs inside gdb for its Python.
import os
import random
import socket
import sys
import time

random.seed(int(os.environ.get("NOISE_SEED", 20261120)))
GOOD = [b"g", b"?", b"c", b"s", b"m100000,100", b"vCont;c", b"vCont;s:1;c", b"Z0,c0101000,1", b"Z2,c0120000,4", b"z0,c0101000,1",
        b"qSupported:swbreak+", b"D", b"qRcmd,696e666f20726567697374657273", b"QStartNoAckMode", b"Hg0", b"T1", b"p8",
        b"qXfer:features:read:target.xml:0,1000", b"qqemu.sstep", b"vCont;rc0100000,c0200000:1", b"vCont;r0,ffffffff"]
GOOD += [b"qRcmd," + command.hex().encode() for command in (
    b"break port 0x20-0x3ff", b"break exception all", b"break interrupt all", b"break mode ring", b"break cr 3", b"next", b"next block",
    b"delete all", b"info breakpoints", b"cont", b"step 3")]


def framed(packet):
    return b"$%s#%02x" % (packet, sum(packet) & 255)


def connect():
    for attempt in range(1000):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        try:
            s.connect(os.environ["GDB_SOCKET"])
            return s
        except BlockingIOError:  # too many are waiting
            s.close()
            time.sleep(0.01)
    raise TimeoutError


def noise():
    kind = random.randrange(6)
    if kind == 0:
        return bytes(random.randrange(256) for _ in range(random.randrange(200)))
    if kind == 1:
        return b"\x03"
    packet = framed(random.choice(GOOD))
    if kind == 2:
        at = random.randrange(len(packet))
        packet = packet[:at] + bytes([random.randrange(256)]) + packet[at + 1:]
    return packet


def visit():
    s = connect()
    try:
        for _ in range(random.randrange(20)):
            s.sendall(noise())
        if random.random() < 0.3:
            s.settimeout(0.02)
            s.recv(10000)
    except OSError:
        pass
    s.close()


# The last visitor may be there still: then we are told so, and come again.
def answers():
    for attempt in range(100):
        s = connect()
        got = b""
        try:
            s.sendall(framed(b"qC"))
            while b"#" not in got:
                more = s.recv(1000)
                if not more:
                    break
                got += more
            if b"$QC1#c5" in got:
                s.sendall(framed(b"D"))
                s.recv(1000)
                return True
        except OSError:
            pass
        finally:
            s.close()
    return False


for visits in range(int(os.environ.get("NOISE_VISITS", 400))):
    visit()
    time.sleep(0.01)
ok = answers()
print("NOISE OK" if ok else "no answer any more")
sys.stdout.flush()
os._exit(0 if ok else 1)
