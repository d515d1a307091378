#!/usr/bin/env python3
"""QMP: negotiation, commands, errors, events, ids.   qmp.py RINGFENCE"""
import json
import os

from harness import Checks, Vm

check = Checks()


def error_of(message):
    return (message.get("error", {}).get("class"), message.get("error", {}).get("desc")) if message else None


def negotiation(vm):
    q = vm.qmp(negotiate=False)
    version = q.greeting["QMP"]["version"]
    check("greeting", set(version["qemu"]) == {"major", "minor", "micro"} and q.greeting["QMP"]["capabilities"] == [], q.greeting)
    check("first things first", error_of(q.command("query-status")) ==
          ("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'"))
    check("no such capability", error_of(q.command("qmp_capabilities", enable=["oob"]))[0] == "GenericError")
    check("negotiated", q.command("qmp_capabilities") == {"return": {}})
    check("only once", error_of(q.command("qmp_capabilities")) ==
          ("CommandNotFound", "Capabilities negotiation is already complete, command ignored"))
    q.close()
    q = vm.qmp(negotiate=False)
    check("a new client negotiates anew", error_of(q.command("query-status"))[0] == "CommandNotFound")
    q.close()


def queries(q):
    names = [c["name"] for c in q.command("query-commands")["return"]]
    check("query-commands", {"quit", "stop", "cont", "query-status"} <= set(names), names)
    for name in names:
        if name.startswith("query-"):
            check(name, "return" in q.command(name), name)
    check("status", q.command("query-status")["return"] == {"status": "running", "singlestep": False, "running": True})
    check("name", q.command("query-name")["return"] == {"name": "test"})
    check("cpus", q.command("query-cpus-fast")["return"][0]["target"] == "i386")
    check("cpu thread", os.path.exists(f"/proc/{vm.process.pid}/task/{q.command('query-cpus-fast')['return'][0]['thread-id']}"))
    check("kvm", q.command("query-kvm")["return"] == {"enabled": False, "present": False})
    check("block", q.command("query-block")["return"] == [])
    check("chardev", "qmp0" in [c["label"] for c in q.command("query-chardev")["return"]])
    check("machines", q.command("query-machines")["return"][0]["name"] == "pc")
    check("memory", q.command("query-memory-size-summary")["return"]["base-memory"] == 128 << 20)
    check("statistics", q.command("x-ringfence-query-statistics")["return"]["tc"]["translations"] > 0)


def errors(q):
    for text, want in (
        ('{"execute":}', "JSON parse error"),
        ("nonsense ", "JSON parse error"),
        ('{"execute":"stop" "x"}', "JSON parse error"),
        ("[]", "QMP input must be a JSON object"),
        ('{"execute":1}', "QMP input member 'execute' must be a string"),
        ('{"exec":"stop"}', "QMP input member 'exec' is unexpected"),
        ("{}", "QMP input lacks member 'execute'"),
        ('{"execute":"stop","arguments":[]}', "QMP input member 'arguments' must be an object"),
        ('{"execute":"stop","arguments":{"x":1}}', "Parameter 'x' is unexpected"),
        ('{"execute":"human-monitor-command"}', "Parameter 'command-line' is missing"),
        ('{"execute":"human-monitor-command","arguments":{"command-line":1}}',
         "Invalid parameter type for 'command-line', expected: string"),
        ('{"execute":"memsave","arguments":{"val":"a","size":1,"filename":"x"}}', "Invalid parameter type for 'val'"),
        ('{"execute":"pmemsave","arguments":{"val":0,"size":1,"filename":"/nonexistent/x"}}', "Could not open '/nonexistent/x'"),
        ('{"execute":"a string\n', "JSON parse error"),
    ):
        kind, desc = error_of(q.raw(text))
        check(text, kind == "GenericError" and desc.startswith(want), desc)
        check("understands what follows", "return" in q.command("query-version"))
    check("unknown", error_of(q.command("nope")) == ("CommandNotFound", "The command nope has not been found"))
    for text in ("[" * 2000, '{"x":"' + "A" * (1 << 20)):
        desc = error_of(q.raw(text + "\n"))[1]
        check("too deep, too large", desc.endswith(("nested too deep", "too large")), desc)
        check("understands what follows", "return" in q.command("query-version"))


def idioms(q):
    for i in (1, "x", None, {"a": [1, 2]}, [True]):
        answer = q.raw(json.dumps({"execute": "query-status", "id": i}))
        check(f"id {i}", "id" in answer and answer["id"] == i, answer)
    check("id with an error", q.raw('{"execute":"nope","id":7}')["id"] == 7)
    check("single quotes", "return" in q.raw("{'execute': 'query-name'}"))
    q.send('{"execute":')
    q.send('"query-name",\n "id": 3}\n')
    check("over several lines", q.answer()["id"] == 3)
    q.send('{"execute":"query-name","id":1}{"execute":"query-name","id":2}')
    check("one behind the other", [q.answer()["id"], q.answer()["id"]] == [1, 2])
    q.send(b"\xff")
    check("the parser's reset", "return" in q.command("query-name"))
    q.send(b'{"execute": \xff')
    check("the parser's reset inside of a text", "JSON parse error" in error_of(q.answer())[1])
    answer = q.command("human-monitor-command", command_line="info version")["return"]
    check("human-monitor-command", answer.strip().count(".") == 2 and answer.endswith("\r\n"), answer)
    check("its errors are text", "unknown command" in q.command("human-monitor-command", command_line="foo")["return"])


def events(q, other):
    check("stop", q.command("stop") == {"return": {}})
    event = q.event("STOP")
    check("STOP", set(event["timestamp"]) == {"seconds", "microseconds"} and "data" not in event, event)
    check("to all", other.event("STOP")["event"] == "STOP")
    check("paused", q.command("query-status")["return"]["status"] == "paused")
    q.command("stop")
    q.command("cont")
    check("RESUME", q.event("RESUME"))
    check("stopping what is stopped says nothing", not [e for e in q.events if e["event"] == "STOP"])
    q.command("human-monitor-command", command_line="step 3")
    check("STOP after a step", q.event("STOP") and q.event("STOP"))
    check("debug", q.command("query-status")["return"]["status"] == "debug")
    q.command("cont")
    check("reset", q.command("system_reset") == {"return": {}})
    check("RESET", q.event("RESET")["data"] == {"guest": False, "reason": "host-qmp-system-reset"})
    q.command("system_powerdown")
    check("POWERDOWN", q.event("POWERDOWN"))
    check("inject-nmi", q.command("inject-nmi") == {"return": {}})
    path = vm.path("memory")
    check("pmemsave", q.command("pmemsave", val=0xF0000, size=4096, filename=path) == {"return": {}})
    check("saved", os.path.getsize(path) == 4096)


vm = Vm(monitors=0, qmps=2)
check("the guest runs", vm.wait_serial("hello from ring 3"))
negotiation(vm)
q, other = vm.qmp(0), vm.qmp(1)
queries(q)
errors(q)
idioms(q)
events(q, other)
check("quit", q.command("quit") == {"return": {}})
check("SHUTDOWN", q.event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-qmp-quit"})
check("the stream ends", q.receive() is None)
check("status 0", vm.wait() == 0)
vm.end()

vm = Vm("-S", monitors=0, qmps=1)
q = vm.qmp()
check("prelaunch", q.command("query-status")["return"] == {"status": "prelaunch", "singlestep": False, "running": False})
q.command("cont")
check("RESUME from -S", q.event("RESUME"))
vm.process.terminate()
check("SHUTDOWN by a signal", q.event("SHUTDOWN")["data"]["reason"] == "host-signal")
check("ends well", vm.end() == 0)
check.finish()
