# A kernel without symbols, running: see run_linux.
import time

USER_CS, KERNEL_CS = 0x73, 0x60


def wait_for(line, seconds):
    end = time.time() + seconds
    while time.time() < end:
        try:
            with open(os.environ["CONSOLE"], errors="replace") as console:
                if line in console.read():
                    return
        except FileNotFoundError:
            pass
        time.sleep(0.1)
    check(False, "no %r on the console" % line)


# Early, in the middle of the boot.
wait_for("Linux version", 60)
run("target remote " + os.environ["GDB_SOCKET"])
check(value("$cr0") & 0x80000001 == 0x80000001, "paging is on")
check(value("$eip") > 0x1000, "somewhere")
run("stepi 100")
kernel_cr3 = value("$cr3")
run("detach")

# While a program computes: stop in it.
wait_for("started", 120)
run("target remote " + os.environ["GDB_SOCKET"])


def stop_in_user_code():
    for attempt in range(100):
        run_for(0.1)
        same(last_stop, "SIGINT", "Ctrl-C")
        if value("$cs") == USER_CS:
            return
    check(False, "no user code to be found")


# Through kernel and user code at full speed.
def comes_by_here_again_and_again():
    here = value("$eip")
    run("break *%d" % here)
    for i in range(20):
        run_for(2)
        if last_stop == "SIGINT":
            break
        same((value("$eip"), value("$cs")), (here, USER_CS), "breakpoint in the program")
    run("delete")
    return last_stop != "SIGINT"


# Some of it is not in the loop.
for attempt in range(20):
    stop_in_user_code()
    if comes_by_here_again_and_again():
        break
check("=>" in run("x/4i $eip"), "disassembly of the program")

# Steps in ring 3 stay there: interrupts are held.
for i in range(50):
    run("stepi")
    check(value("$cs") in (USER_CS, KERNEL_CS), "stepping")

# A word of its stack is watched: the one that the next call or push writes. (What is at $esp may be padding that nobody touches.)
for i in range(5000):
    if any(word in run("x/i $eip") for word in ("push", "call")):
        break
    run("stepi")
word = "*(int *)%d" % (value("$esp") - 4)
run("awatch " + word)
stops("continue", word)
run("delete")

# The kernel's memory, from user mode.
check("Cannot access" not in run("x/4x 0xc0100000"), "kernel memory")
fails("x/x 0x10", "Cannot access memory")
run("detach")
done()
