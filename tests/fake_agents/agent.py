"""A small program that stands in for an agent: run as a script under the agent's real name.

What it does comes as JSON in FAKE_AGENT:
  ignore    signal names to ignore
  linger_s  how long it goes on after the first TERM or INT
  registry  {path: document}; "$PID", "$START" and "$LSTART" in it are replaced; removed again on a clean end
  open      files to hold open; "$PID" in a name is replaced
  children  [{"argv": [...], "env": {...}, "setsid": bool, "pipes": bool}]
  spawn     another script to run as worker (a launcher), with FAKE_WORKER as its FAKE_AGENT, or with
  worker    what that worker does
  env       {name: value} for the worker
  storm_s   fork a child in its own session each `storm_s` seconds
  follows   it ends when its worker has ended
  note      where to write the process id
  keys      where to write the keys that are pressed in its terminal, one line for each read
  stop      what it does when a key is pressed: "shells" kills its children, "last" the last of them
  forgets   its children that end leave no zombie
  late      a child that it starts on USR1, as above or its argv
  ready     where to write {"pid": ..., "children": [...]} when all is up
"""

import json
import os
import signal
import subprocess
import sys
import time

if sys.argv[1:2] == ["stop"]:
    # The agent's own stop command: the job says which process is its worker.
    job = os.path.join(os.environ["CLAUDE_CONFIG_DIR"], "jobs", sys.argv[2])
    with open(os.path.join(job, "stopped"), "w"):
        pass
    with open(os.path.join(job, "worker")) as file:
        os.kill(int(file.read()), signal.SIGTERM)
    sys.exit(0)

spec = json.loads(os.environ.get("FAKE_AGENT", "{}"))


def start_ticks() -> str:
    with open("/proc/self/stat", "rb") as stat:
        return stat.read().rpartition(b")")[2].split()[19].decode()


def lstart() -> str:
    """When it was started, as `ps -o lstart` writes it."""
    up_s = int(start_ticks()) / os.sysconf("SC_CLK_TCK")
    at_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + up_s
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(at_s))


written: list[str] = []


def leave(number: int, _frame: object) -> None:
    time.sleep(spec.get("linger_s", 0))
    for path in written:
        os.unlink(path)
    os._exit(128 + number)


for name in ("INT", "TERM", "HUP"):
    ignored = name in spec.get("ignore", ())
    signal.signal(signal.Signals[f"SIG{name}"], signal.SIG_IGN if ignored else leave)

files = [open(path.replace("$PID", str(os.getpid())), "a") for path in spec.get("open", ())]  # noqa: SIM115
for path, document in spec.get("registry", {}).items():
    path = path.replace("$PID", str(os.getpid()))
    text = json.dumps(document).replace('"$PID"', str(os.getpid())).replace("$START", start_ticks())
    text = text.replace("$LSTART", lstart())
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    written.append(path)

clean = {key: value for key, value in os.environ.items() if key != "FAKE_AGENT"}


def start(child: dict) -> subprocess.Popen:
    pipe = subprocess.PIPE if child.get("pipes") else None
    own = {key: str(os.getpid()) if value == "$PID" else value for key, value in child.get("env", {}).items()}
    return subprocess.Popen(
        child["argv"],
        env=clean | own,
        start_new_session=child.get("setsid", False),
        restore_signals=True,
        stdin=pipe,
        stdout=pipe,
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGINT, signal.SIGTERM)],
    )


children = [start(child) for child in spec.get("children", ())]
if "spawn" in spec:
    worker = clean | ({"FAKE_AGENT": os.environ["FAKE_WORKER"]} if "FAKE_WORKER" in os.environ else {})
    if "worker" in spec:
        worker = clean | {"FAKE_AGENT": json.dumps(spec["worker"])} | spec.get("env", {})
    children.append(subprocess.Popen([*spec["spawn"], *sys.argv[1:]], env=worker))
if "note" in spec:
    with open(spec["note"], "w") as file:
        file.write(str(os.getpid()))
if spec.get("forgets"):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if "late" in spec:
    late = spec["late"] if isinstance(spec["late"], dict) else {"argv": spec["late"], "setsid": True}
    signal.signal(signal.SIGUSR1, lambda *_: children.append(start(late)))
if "keys" in spec:
    import tty

    tty.setraw(0)
if "ready" in spec:
    with open(spec["ready"] + ".tmp", "w") as file:
        json.dump({"pid": os.getpid(), "children": [child.pid for child in children]}, file)
    os.rename(spec["ready"] + ".tmp", spec["ready"])
while True:
    if "keys" in spec:
        pressed = os.read(0, 64)
        with open(spec["keys"], "ab") as file:
            file.write(pressed + b"\n")
        for child in {"shells": children, "last": children[-1:]}.get(spec.get("stop", ""), ()):
            child.kill()
            child.wait()
    elif "storm_s" in spec:
        subprocess.Popen(["sleep", "60"], env=clean | spec.get("storm_env", {}), start_new_session=True)
        time.sleep(spec["storm_s"])
    elif spec.get("reap"):
        time.sleep(0.05)
        ended = [child.poll() is not None for child in children]
        if spec.get("follows") and all(ended):
            sys.exit(0)
    else:
        signal.pause()
