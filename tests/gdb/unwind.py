# gdb on the monitor's own process: every frame of the vCPU thread leads back to the thread's start. Runs inside gdb, attached with
# the guest (breaks.S) stopped; see run_unwind.
import os
import signal
import socket
import threading

import gdb

for setting in ("confirm off", "pagination off", "breakpoint pending off"):
    gdb.execute("set " + setting)
gdb.execute("handle SIGSEGV SIGUSR2 SIGFPE SIGILL nostop noprint pass", to_string=True)
gdb.execute("handle SIGXCPU stop nopass", to_string=True)
seen = {}


def fail(what):
    print("FAIL " + what)
    gdb.execute("bt 20")
    gdb.execute("info registers rip rsp r14")
    os._exit(1)


def check(where):
    names = []
    frame = gdb.newest_frame()
    while frame and len(names) < 60:
        names.append(frame.name())
        try:
            frame = frame.older()
        except gdb.error:
            break
    for wanted in ("vcpu_main", "start_thread"):
        if wanted not in names:
            fail("%s: no %s in %s" % (where, wanted, names))
    seen[names[0]] = seen.get(names[0], 0) + 1
    return names


def monitor(command):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["MONITOR"])
    s.sendall(command + b"\n")
    return s  # the guest goes on with the process


# Where C is called from translated code and its surroundings, and the world switch itself.
places = ("tc_enter", "lean_exit", "lean_system", "callout_interp", "on_fault")
points = {place: gdb.Breakpoint(place) for place in places}
client = monitor(b"cont")
for place in places:
    for other in places:
        points[other].enabled = other == place
    gdb.execute("continue", to_string=True)
    names = check(place)
    if names[0] != place:
        fail("stopped in %s instead of %s" % (names[0], place))
    if "run_ccf" not in names:
        fail("%s: the caller of the world switch is missing: %s" % (place, names))
    if place == "on_fault" and "translated_code" not in names:
        fail("no translated code below the signal handler: %s" % names)

# Instruction by instruction: into the world switch (up to its POPF, which cannot be stepped over without leaving the process a trap
# flag), out of the signal handler, and in translated code, where the guest waits for an NMI that does not come.
def steps(n):
    for step in range(n):
        gdb.execute("stepi", to_string=True)
        check("step %d" % step)


points["on_fault"].enabled = False
points["tc_enter"].enabled = True
gdb.execute("continue", to_string=True)
gdb.execute("set scheduler-locking on")
steps(22)
gdb.execute("set scheduler-locking off")
for place in places:
    points[place].enabled = False
threading.Timer(1, lambda: os.kill(gdb.selected_inferior().pid, signal.SIGXCPU)).start()
gdb.execute("continue", to_string=True)
for thread in gdb.selected_inferior().threads():
    if thread.name == "vcpu0":
        thread.switch()
if check("interrupted")[0] != "translated_code":
    fail("not in translated code")
gdb.execute("set scheduler-locking on")
steps(100)
gdb.execute("set scheduler-locking off")
if seen["translated_code"] < 100 or seen["tc_enter"] < 20:
    fail("too little was seen: %s" % seen)
gdb.execute("detach")
print("UNWIND OK %s" % seen)
