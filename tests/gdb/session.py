# What the sessions share. Runs inside gdb.
import os
import signal
import threading

import gdb

for setting in ("confirm off", "pagination off", "architecture i386", "height 0", "width 0", "remotetimeout 20"):
    gdb.execute("set " + setting)


def run(command):
    return gdb.execute(command, to_string=True)


def value(expression):
    return int(gdb.parse_and_eval(expression)) & 0xFFFFFFFF


def check(condition, what):
    if not condition:
        print("FAIL " + what)
        for command in ("info registers", "info breakpoints"):
            gdb.execute(command)
        os._exit(1)


def same(got, want, what):
    check(got == want, "%s: %r instead of %r" % (what, got, want))


def fails(command, text):
    try:
        output = run(command)
    except gdb.error as error:
        output = str(error)
    check(text in output, "%s: %r does not say %r" % (command, output, text))


# Why it stopped last: a signal's name, or the expression or location of the breakpoint that was hit. (What gdb prints at
# a stop is not part of a command's output.)
last_stop = None


def on_stop(event):
    global last_stop
    last_stop = None
    if isinstance(event, gdb.BreakpointEvent):
        last_stop = event.breakpoints[0].expression or event.breakpoints[0].location
    elif isinstance(event, gdb.SignalEvent):
        last_stop = event.stop_signal


gdb.events.stop.connect(on_stop)


def stops(command, why):
    run(command)
    same(last_stop, why, command + " stopped")


def attach():
    run("file " + os.environ["GDB_KERNEL"])
    run("target remote " + os.environ["GDB_SOCKET"])


def name():
    return gdb.selected_frame().name()


def interrupt_after(seconds):
    timer = threading.Timer(seconds, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    return timer


# Continue, for so long at most; the Ctrl-C may come too early, while this is Python: then once more.
def run_for(seconds):
    while True:
        try:
            timer = interrupt_after(seconds)
            run("continue")
            timer.cancel()
            return
        except KeyboardInterrupt:
            continue


def done():
    print("SESSION OK")
