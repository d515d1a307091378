# The guest of guest.c, from its first instruction to its end.
attach()

# Stopped before the first instruction.
same(value("$eip"), value("&_start"), "start")
same(value("$eax"), 0x2BADB002, "Multiboot's magic in EAX")
run("stepi")
check(value("$eip") == value("&_start") + 1, "one instruction")
same(value("$cr0") & 0x80000001, 1, "protected mode, no paging")

check("EIP=" in run("monitor info registers"), "monitor info registers")
check(run("monitor nonsense") != "", "an unknown monitor command")

# A second debugger is told that there is one already.
import socket

second = socket.socket(socket.AF_UNIX)
second.settimeout(10)
second.connect(os.environ["GDB_SOCKET"])
words = b""
while True:
    more = second.recv(100)
    if not more:
        break
    words += more
check(b"another debugger" in words, "the second debugger: %r" % words)
second.close()

# A breakpoint, arguments, the stack, finish.
run("break add if a == 1 && b == 1")
run("continue")
same((name(), value("a"), value("b")), ("add", 1, 1), "conditional breakpoint")
check("guest_main" in run("backtrace"), "back-trace")
run("delete")
run("finish")
same((name(), value("$eax")), ("fibonacci", 2), "finish, and what add returned")

# step goes into calls, next over them.
run("break guest.c:touch")
run("continue")
same((name(), value("watched")), ("touch", 8), "breakpoint after fibonacci(6)")
run("delete")
run("next")
same(value("before"), 8, "next")
check(";r" in run("maint packet vCont?"), "range stepping")

# Hardware breakpoint; registers and memory can be written.
run("hbreak *%d" % value("$eip"))
run("delete")
run("set var watched = 1")
run("set $ecx = 0x12345678")
same((value("watched"), value("$ecx")), (1, 0x12345678), "written")
run("set var watched = 8")

# Watchpoints: after the very instruction.
run("watch watched")
stops("continue", "watched")
same((name(), value("watched")), ("touch", 49), "watch: after the first write")
stops("continue", "watched")
same((name(), value("watched"), value("rounds")), ("touch", 50, 3), "watch: after the second write")
run("delete")
run("rwatch read_only")
stops("continue", "read_only")
same((name(), value("rounds")), ("touch", 3), "where read_only is read")
run("delete")
run("awatch rounds")
stops("continue", "rounds")
same(value("rounds"), 3, "awatch: the read")
stops("continue", "rounds")
same(value("rounds"), 10, "awatch: the write")
run("delete")

# To the end of the function and out of it.
run("until")
same(name(), "guest_main", "until")
same((value("rounds"), value("watched")), (10, 50), "touch is through")
run("set var rounds = 10")

# x87 and SSE.
run("break vectors_loaded")
run("continue")
same(str(gdb.parse_and_eval("$st1")), "1", "FLD1")
check(str(gdb.parse_and_eval("$st0")).startswith("3.14159265"), "FLDPI")
same([value("$xmm1.v4_int32[%d]" % i) for i in range(4)], [0x11111111, 0x22222222, 0x33333333, 0x44444444], "XMM1")
same(value("$ftag"), 0x0FFF, "tag word")
same(value("$mxcsr"), 0x1F80, "MXCSR")
run("set $xmm2.v4_int32[0] = 0x55")
same(value("$xmm2.v4_int32[0]"), 0x55, "XMM2 written")
fails("set $mxcsr = 0xffff0000", "")
same(value("$mxcsr"), 0x1F80, "reserved bits of MXCSR are refused")
run("delete")

# 16-bit protected mode, then real mode: breakpoints are linear.
real = 0x7000 + value("&real_offset")
run("break *0x7000")
run("break *%d" % real)
run("continue")
same((value("$cs"), value("$cs_base"), value("$eip"), value("$cr0") & 1), (0x30, 0x7000, 0, 1), "16-bit code segment")
run("stepi")
same(value("$eip"), 3, "16-bit instruction")
run("continue")
same((value("$cs"), value("$cs_base") + value("$eip"), value("$cr0") & 1), (0x700, real, 0), "real mode")
run("stepi")
run("stepi")
same(value("$ax") & 0xFFFF, 0x1235, "real-mode instructions")
run("delete")
run("watch *(short *)0x7180")
stops("continue", "*(short *)0x7180")
same(value("*(unsigned short *)0x7180"), 0x1235, "watch in real mode")
same(value("$eip"), value("&real_offset") + 8, "after the instruction that wrote")
run("delete")

# Paging: memory by virtual address.
run("break enter_user")
run("continue")
run("delete")
check(value("$cr0") & 0x80000000, "paging is on")
same(value("*(int *)(0x40000000 + (int)&read_only)"), 7, "the second mapping")
run("set var *(int *)(0x40000000 + (int)&read_only) = 9")
same(value("read_only"), 9, "written by the second mapping")
fails("x/x 0x80000000", "Cannot access memory")

# Ring 3.
run("break add")
run("continue")
same((name(), value("a"), value("$cs") & 3), ("add", 100, 3), "breakpoint in ring 3")
run("step")
same(value("$cs") & 3, 3, "step in ring 3")
run("delete")
run("break user_done")
run("continue")
same(value("$cs"), 8, "back in ring 0")
run("delete")

# Ctrl-C out of an endless loop, again and again.
for i in range(3):
    run_for(0.3)
    same(last_stop, "SIGINT", "Ctrl-C")
    same(name(), "spin", "interrupted in the loop")
before = value("rounds")
run("next")
run("next")
check(value("rounds") > before, "the loop goes on")

# A call made by the debugger, and a jump.
same(value("fibonacci(10)"), 55, "call")
run("set var released = 1")
run("detach")
done()
