#!/usr/bin/env python3
"""Measure tokentop from outside, beside ccusage and an empty Textual app, and print one table.

    run.py [NAME ...] [--runs 7] [--cache .cache/bench] [--json FILE] [--readme README.md]

NAME: cold, warm, size, start, history, live, failing, agents, latency, keys, kinds, database, replay; without names
all of them (about twenty minutes; the corpora, the seeded history and ccusage are made once, in the cache). The bars are
informational: this program fails only where a command fails or a total is wrong. Ratios of CPU hold on a busy
machine, wall times only on an idle one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import check_totals
import corpus_kinds
import failing
import gen_corpus
import keystrokes
import pairs
import peers
import questions
import report_times
import tui_probe
from proctree import clean_env, cpu_seconds
from seed_history import database_bytes

HERE = Path(__file__).parent
ROOT = HERE.parent
TOKENTOP = [sys.executable, "-m", "tokentop"]
EMPTY_APP = [sys.executable, str(HERE / "empty_app.py")]
HISTORY_EVENTS = 10_000_000


@dataclass(frozen=True)
class Result:
    """One line of the table. `bar` None = stands beside the others, for comparison."""

    bench: str
    what: str
    value: float
    unit: str
    bar: float | None = None
    detail: bool = False  # one of many: not in the README's table

    def verdict(self) -> str:
        """What the table of the README says of the bar; empty without one."""
        if self.bar is None:
            return ""
        return f"≤ {self.bar:g}" if self.value <= self.bar else f"≤ {self.bar:g} **missed**"

    def line(self) -> str:
        bar = "" if self.bar is None else f"<= {self.bar:g} {'ok' if self.value <= self.bar else 'OVER'}"
        return f"{self.bench:9} {self.what:58} {self.value:>12,.3f} {self.unit:8} {bar}"


@dataclass(frozen=True)
class Setup:
    cache: Path
    runs: int


# ---------------------------------------------------------------- reports


def exact(corpus: Path, name: str, output: str) -> None:
    """Raise SystemExit unless the totals in a tool's output are exact."""
    good, say = check_totals.verdict(corpus, output)
    print(f"{'':9} {name}: totals of {corpus.name} {say}")
    if not good and name == "tokentop":
        raise SystemExit("tokentop's totals are wrong: its times mean nothing")


def medians(bench: str, name: str, runs: list[pairs.Run], bar_ms: float | None = None) -> Iterator[Result]:
    yield Result(bench, f"{name}: CPU", statistics.median(r.cpu_s for r in runs), "s")
    yield Result(bench, f"{name}: wall, median", 1000 * statistics.median(r.wall_s for r in runs), "ms")
    if bar_ms is not None:
        yield Result(bench, f"{name}: wall, best", 1000 * min(r.wall_s for r in runs), "ms", bar_ms)
    yield Result(bench, f"{name}: peak memory", max(r.mib for r in runs), "MiB")


def reports(setup: Setup, bench: str, *, fresh: bool, bar: float, bar_ms: float | None) -> Iterator[Result]:
    corpus = gen_corpus.cached(setup.cache, "c500")
    commands = {"tokentop": [*TOKENTOP, "usage", "--by", "day", "--json"]}
    peer = peers.ccusage(setup.cache)
    if peer:
        commands["ccusage"] = peer
    else:
        print("LEFT OUT: ccusage needs npm, which is not installed here")
    made = pairs.in_turn(commands, corpus, setup.runs, fresh=fresh)
    for name, runs in made.items():
        exact(corpus, name, runs[-1].out)
        yield from medians(bench, name, runs, bar_ms if name == "tokentop" else None)
    if peer:
        ratio = statistics.median(pairs.ratios(made["tokentop"], made["ccusage"]))
        yield Result(bench, "tokentop / ccusage, CPU, median of pairs", ratio, "x", bar)


def cold(setup: Setup) -> Iterator[Result]:
    yield from reports(setup, "cold", fresh=True, bar=0.6, bar_ms=None)


def warm(setup: Setup) -> Iterator[Result]:
    yield from reports(setup, "warm", fresh=False, bar=0.1, bar_ms=100)


def size(setup: Setup) -> Iterator[Result]:
    corpus = gen_corpus.cached(setup.cache, "dense500k")
    with tempfile.TemporaryDirectory(prefix="tokentop-bench-") as state:
        env = clean_env(corpus, TOKENTOP_STATE_DIR=state)
        run = pairs.measure([*TOKENTOP, "usage", "--by", "day", "--json"], env)
        if run.status:
            raise SystemExit(f"tokentop usage exits {run.status}: {run.err[-300:]}")
        exact(corpus, "tokentop", run.out)
        events = json.loads((corpus / "expected.json").read_text())["buckets"]["events"]
        yield Result(
            "size", f"database, {events:,} events", database_bytes(Path(state)) / events, "B/event", 80
        )
        yield Result("size", "first read of them: CPU", run.cpu_s, "s")
        yield Result("size", "first read of them: peak memory", run.mib, "MiB", 110)


# ---------------------------------------------------------------- the live screen


@contextmanager
def agents(home: Path, files: int, rate: float, seconds: float, *more: str) -> Iterator[None]:
    """Live agents that write below `home` while the block runs."""
    ready = home / "ready"
    words = [sys.executable, str(HERE / "replay_writer.py"), "--home", str(home), "--ready", str(ready)]
    words += ["--files", str(files), "--rate", str(rate), "--seconds", str(seconds), *more]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if process.poll() is not None:
                raise SystemExit(f"replay_writer.py exits {process.returncode}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def scratch(corpus: Path | None = None) -> Iterator[tuple[Path, Path]]:
    """(home, state): new folders; the home is a copy of `corpus`."""
    with tempfile.TemporaryDirectory(prefix="tokentop-bench-") as name:
        home, state = Path(name, "home"), Path(name, "state")
        if corpus:
            shutil.copytree(corpus, home, copy_function=os.link)
        else:
            home.mkdir()
        yield home, state


def screen(command: list[str], home: Path, state: Path, plan: tui_probe.Plan) -> tui_probe.Probe:
    """One run of a terminal program; SystemExit when it ends by itself or never shows what it should."""
    env = clean_env(home, TOKENTOP_STATE_DIR=str(state))
    result = tui_probe.probe(command, env, plan)
    if not result.alive or (plan.expect and result.match_s is None):
        raise SystemExit(f"{command} shows no {plan.expect!r}; its last screen:\n{result.screen}")
    return result


def first_paints(home: Path, state: Path, n: int) -> tuple[list[float], list[float]]:
    """Seconds to the first screen with data, and to the first text of an empty app, in turn."""
    shown: list[float] = []
    empty: list[float] = []
    for _ in range(n):
        plan = tui_probe.Plan(20, 20, "replay session", stop_at_match=True)
        shown.append(screen(TOKENTOP, home, state, plan).match_s or 0)
        plan = tui_probe.Plan(20, 20, "nothing here", stop_at_match=True)
        empty.append(screen(EMPTY_APP, home, state, plan).match_s or 0)
    return shown, empty


def start(setup: Setup) -> Iterator[Result]:
    seeded = setup.cache / f"seeded-{HISTORY_EVENTS}"
    for name, folder in (("empty history", None), (f"history of {HISTORY_EVENTS:,} events", seeded)):
        with scratch() as (home, state):
            if folder:
                make_seeded(folder, HISTORY_EVENTS)
                shutil.copytree(folder, state)
            with agents(home, 5, 1, 120):
                pairs.measure([*TOKENTOP, "sync", "--json"], clean_env(home, TOKENTOP_STATE_DIR=str(state)))
                shown, empty = first_paints(home, state, max(3, setup.runs - 2))
        over = statistics.median(a - b for a, b in zip(shown, empty, strict=True))
        yield Result("start", f"tokentop, {name}: first data", 1000 * statistics.median(shown), "ms", 400)
        yield Result("start", "empty Textual app: first text", 1000 * statistics.median(empty), "ms")
        yield Result("start", f"tokentop, {name}: over the empty app", 1000 * over, "ms", 100)


def make_seeded(folder: Path, events: int) -> None:
    """The seeded state folder, made on the first call."""
    if folder.exists():
        return
    print(f"seeding a history of {events:,} events", file=sys.stderr)
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    words = [sys.executable, str(HERE / "seed_history.py"), "--state", str(making)]
    subprocess.run([*words, "--events", str(events)], check=True, stdout=sys.stderr)
    making.rename(folder)


def history(setup: Setup) -> Iterator[Result]:
    """Lists and searches over ten million events, each with the entries of one screen."""
    folder = setup.cache / f"seeded-{HISTORY_EVENTS}"
    make_seeded(folder, HISTORY_EVENTS)
    asked = [(f"{name}: {count:,} sessions", ms) for name, count, ms in questions.measured(folder)]
    for kind, found in (("lists and searches", asked), ("reports and spans", report_times.measured(folder))):
        took: dict[str, float] = {}
        for name, ms in found:
            took[name] = ms
            yield Result("history", name, ms, "ms", 50, detail=True)
        what = f"{HISTORY_EVENTS:,} events, {len(took)} {kind}"
        yield Result("history", f"{what}: median", statistics.median(took.values()), "ms", 50)
        slowest = max(took, key=lambda name: took[name])
        yield Result("history", f"the slowest: {slowest}", took[slowest], "ms", 50)


def live(setup: Setup) -> Iterator[Result]:
    plan = tui_probe.Plan(40, 10, "replay|stamp-", 200, 60)
    with scratch(gen_corpus.cached(setup.cache, "files5k")) as (home, state):
        pairs.measure([*TOKENTOP, "sync", "--json"], clean_env(home, TOKENTOP_STATE_DIR=str(state)))
        with agents(home, 50, 100, 60):
            result = screen(TOKENTOP, home, state, plan)
        yield Result("live", "50 agents, 100 events/s, 5,000 files: CPU", result.cpu_pct or 0, "% core", 5)
        yield Result("live", "the same: memory", result.rss_mib * 2**20 / 1e6, "MB", 90)
        empty = screen(EMPTY_APP, home, state, tui_probe.Plan(16, 6, "nothing", 200, 60))
        yield Result("live", "empty Textual app: CPU", empty.cpu_pct or 0, "% core")
        yield Result("live", "empty Textual app: memory", empty.rss_mib * 2**20 / 1e6, "MB")


# First requests within half a minute, tried three times; a second round about a minute later; the third comes after
# three minutes: what is between those two is what failing providers cost while nothing is asked.
FAILING_SETTLE_S, FAILING_S = 120, 180
FAILING_PAINTS = 8


def failing_providers(setup: Setup) -> Iterator[Result]:
    """All providers on and failing beside none on: the first picture in turn, what comes after at the same time."""
    paints: dict[bool, list[float]] = {True: [], False: []}
    seen: dict[bool, list[tuple[float, ...]]] = {True: [], False: []}
    with failing.serving() as port:
        for run in range(2 * FAILING_PAINTS):
            on = bool(run % 2) != bool(run // 2 % 2)  # neither is always the first
            with _twenty_agents(port, on) as (home, state):
                plan = tui_probe.Plan(20, 20, "replay session", stop_at_match=True)
                paints[on].append(1000 * (screen(TOKENTOP, home, state, plan).match_s or 0))
        for _ in range(max(2, setup.runs // 2)):
            with ThreadPoolExecutor(2) as pool:
                pair = {on: pool.submit(_long_run, port, on) for on in seen}
            for on, found in pair.items():
                seen[on].append(found.result())
    over = [a - b for a, b in zip(paints[True], paints[False], strict=True)]
    yield Result("failing", "20 agents, no provider on: first data", statistics.median(paints[False]), "ms")
    yield Result("failing", "the same: middle half of its runs", _spread(paints[False]), "ms")
    yield Result(
        "failing", "12 providers on and failing: more, median of pairs", statistics.median(over), "ms"
    )
    whats = (
        (f"CPU of the first {FAILING_SETTLE_S} s", "s"),
        ("CPU of the minute after", "% core"),
        ("memory", "MB"),
    )
    for (what, unit), without, those in zip(
        whats, zip(*seen[False], strict=True), zip(*seen[True], strict=True), strict=True
    ):
        more = [a - b for a, b in zip(those, without, strict=True)]
        yield Result("failing", f"no provider on: {what}", statistics.median(without), unit)
        yield Result("failing", "the same: from its least to its most", max(without) - min(without), unit)
        yield Result(
            "failing", "12 providers on and failing: more, median of pairs", statistics.median(more), unit
        )


@contextmanager
def _twenty_agents(port: int, on: bool) -> Iterator[tuple[Path, Path]]:
    with scratch() as (home, state), agents(home, 20, 10, FAILING_S + 60):
        if on:
            failing.configure(home, port)
        yield home, state


def _long_run(port: int, on: bool) -> tuple[float, ...]:
    with _twenty_agents(port, on) as (home, state):
        result = screen(TOKENTOP, home, state, tui_probe.Plan(FAILING_S, FAILING_SETTLE_S, "replay", 160, 50))
        return result.settle_cpu_s or 0, result.cpu_pct or 0, result.rss_mib * 2**20 / 1e6


def _spread(values: list[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4)
    return high - low


EVENTS_PER_S = 100
MONITORS = {
    "htop": (["htop", "-d", "10"], "claude"),
    "btop": (["btop", "--utf-force"], "Pid:"),
}  # what it shows first
BTOP = 'update_ms = 1000\nproc_sorting = "cpu lazy"\n'


def crowd(_: Setup) -> Iterator[Result]:
    """The screen at 160x50 over 100 and 1,000 live agents, then htop and btop at 1 Hz over the same processes.

    Each agent answers every ten seconds, and 100 also every second, so that every line changes at each picture.
    """
    for count, rate, bar in ((100, 10, 3), (100, EVENTS_PER_S, 3), (1000, EVENTS_PER_S, 6)):
        with scratch() as (home, state), agents(home, count, rate, 600):
            settle_s = 12 if count <= 100 else 20
            plan = tui_probe.Plan(settle_s + 32, settle_s, "replay", 160, 50)
            result = screen(TOKENTOP, home, state, plan)
            what = f"{count:,} agents, {rate} events/s"
            yield Result("agents", f"{what}: CPU", result.cpu_pct or 0, "% core", bar)
            yield Result("agents", "the same: memory", result.rss_mib * 2**20 / 1e6, "MB")
            for name, (command, shows) in MONITORS.items():
                if not shutil.which(name):
                    print(f"LEFT OUT: {name} is not installed here")
                    continue
                config = home / ".config" / "btop" / "btop.conf"
                config.parent.mkdir(parents=True, exist_ok=True)
                config.write_text(BTOP)
                beside = screen(command, home, state, tui_probe.Plan(38, 6, shows, 160, 50))
                yield Result("agents", f"{name} at 1 Hz beside {count:,}: CPU", beside.cpu_pct or 0, "% core")


def keys(setup: Setup) -> Iterator[Result]:
    """From a key to the repaint that shows it, in an empty app and on a screen of 100 busy agents, in turn."""
    runs: dict[str, list[keystrokes.Delays]] = {"empty Textual app": [], "tokentop": []}
    with scratch() as (home, state), agents(home, 100, EVENTS_PER_S, 1200):
        env = clean_env(home, TOKENTOP_STATE_DIR=str(state))
        for _ in range(max(1, setup.runs // 2)):
            for name, command, pressed, ready in (
                ("empty Textual app", EMPTY_APP, keystrokes.COUNTED, "nothing here"),
                ("tokentop", TOKENTOP, keystrokes.ROUND, r"> .*replay session"),
            ):
                found = keystrokes.delays(command, env, pressed, 20 * len(keystrokes.ROUND), ready, 4)
                print(f"{'':9} {name}: {found.at(0.5):.1f} / {found.at(0.99):.1f} ms; {found.by_key()}")
                runs[name].append(found)
    for name, found in runs.items():
        what = f"{name}, {len(found[0].all)} keys" + (
            f", {EVENTS_PER_S} events/s" if name == "tokentop" else ""
        )
        bar = 50 if name == "tokentop" else None
        yield Result("keys", f"{what}: p50, best run", min(run.at(0.5) for run in found), "ms")
        yield Result("keys", "the same: p99, best run", min(run.at(0.99) for run in found), "ms", bar)
        yield Result("keys", "the same: p99, all runs", max(run.at(0.99) for run in found), "ms")
        yield Result("keys", "the same: keys that were never shown", sum(len(run.lost) for run in found), "")


def latency(_: Setup) -> Iterator[Result]:
    with scratch() as (home, state):
        log = home / "stamps.jsonl"
        plan = tui_probe.Plan(40, 8, "replay|stamp-", 200, 60, stamps=log)
        with agents(home, 20, 5, 60, "--stamp", "--log", str(log)):
            stamps = screen(TOKENTOP, home, state, plan).stamps or {}
        if "p50_ms" not in stamps:
            raise SystemExit(f"no stamp reached the screen: {stamps}")
        yield Result("latency", "20 agents, 5 events/s: append to screen, p50", stamps["p50_ms"], "ms", 300)
        yield Result("latency", "the same: p99", stamps["p99_ms"], "ms", 1000)
        missed = 100 * (1 - stamps["seen"] / stamps["sent"])
        yield Result("latency", "the same: titles that never came", missed, "%")


# ---------------------------------------------------------------- each agent

KIND_BYTES = 100 << 20
DATABASE_BYTES = 1 << 30
IDLE_S = 30


def kinds(_: Setup) -> Iterator[Result]:
    """The first read of 100 MB of each agent's JSON lines; totals are checked against the recorded case."""
    for agent, case in corpus_kinds.cases().items():
        with scratch() as (home, state):
            copies, size = corpus_kinds.grow(case, home, KIND_BYTES)
            env = clean_env(home, TOKENTOP_STATE_DIR=str(state))
            run = pairs.measure([*TOKENTOP, "usage", "--by", "agent", "--json"], env)
            if run.status:
                raise SystemExit(f"tokentop usage exits {run.status}: {run.err[-300:]}")
            wanted = json.loads((case / "expect.json").read_bytes())["total"]["output"] * copies
            rows = json.loads(run.out)["rows"]
            found = sum(row["tokens"]["output"] for row in rows if not row.get("estimated"))
            if found != wanted:
                raise SystemExit(f"{agent}: {found} output tokens, not {wanted}: its time means nothing")
            yield Result("kinds", f"{agent}: CPU for 100 MB", run.cpu_s * KIND_BYTES / size, "s")


def database(_: Setup) -> Iterator[Result]:
    """What a large OpenCode database costs: its first read, and `watch` beside it while nothing changes."""
    with scratch() as (home, state), scratch() as (bare, bare_state):
        _, messages = corpus_kinds.opencode_database(home, DATABASE_BYTES)
        env = clean_env(home, TOKENTOP_STATE_DIR=str(state))
        run = pairs.measure([*TOKENTOP, "sync", "--json"], env)
        yield Result("database", f"1 GiB, {messages:,} messages: first read, CPU", run.cpu_s, "s")
        again = pairs.measure([*TOKENTOP, "sync", "--json"], env)
        yield Result("database", "the same, nothing new: CPU", again.cpu_s, "s")
        idle = watch_pct(env)
        nothing = watch_pct(clean_env(bare, TOKENTOP_STATE_DIR=str(bare_state)))
        yield Result("database", "watch beside it, nothing changes: CPU", idle, "% core")
        yield Result("database", "watch with an empty home: CPU", nothing, "% core")
        yield Result("database", "what the database costs", max(0.0, idle - nothing), "% core", 1)


def replay(_: Setup) -> Iterator[Result]:
    """The black box: a frame of 40 and of 1,000 agents, and steps through two full days on the screen."""
    for count, hours in ((40, 48), (1000, 2)):
        words = [sys.executable, str(HERE / "replay_steps.py"), "--agents", str(count), "--hours", str(hours)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        bar = 64 if count == 40 else None
        yield Result("replay", f"{count:,} agents: bytes of a frame", found["frame_bytes"], "B")
        yield Result(
            "replay", f"{count:,} agents that never rest: two days", 48 * found["hour_bytes"] / 1e6, "MB", bar
        )
        yield Result("replay", f"{count:,} agents: CPU of recording, every 10 s", found["cpu_ms"], "ms")
        yield Result(
            "replay", f"{count:,} agents: any moment read", found["read_ms"], "ms", 50 if bar else None
        )
        yield Result(
            "replay", "the same: key to painted table, median", found["step_ms"], "ms", 50 if bar else None
        )


def watch_pct(env: dict[str, str]) -> float:
    """CPU of `tokentop watch`, once it has settled, in per cent of a core."""
    process = subprocess.Popen(
        [*TOKENTOP, "watch"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(10)
        before, began = cpu_seconds(process.pid), time.monotonic()
        time.sleep(IDLE_S)
        return 100 * (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
    finally:
        process.terminate()
        process.wait()


def write_table(path: Path, results: list[Result]) -> None:
    """Put the results between the two `bench` marks of a Markdown file; rows of benches that did not run stay."""
    start, end = "<!-- bench -->\n", "<!-- /bench -->"
    before, _, rest = path.read_text().partition(start)
    old, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path} has no {start.strip()} ... {end} to write the table between")
    rows: dict[str, list[str]] = {name: [] for name in BENCHES}
    ran = {r.bench for r in results}
    for line in old.splitlines()[2:]:
        name = line.split("|")[1].strip()
        if name in rows and name not in ran:
            rows[name].append(line)
    for r in results:
        if not r.detail:
            value = f"{r.value:,.0f}" if abs(r.value) >= 100 else f"{r.value:.3g}"
            rows[r.bench].append(f"| {r.bench} | {r.what} | {value} {r.unit} | {r.verdict()} |")
    lines = [
        "| bench | what | measured | bar |",
        "|---|---|---|---|",
        *(line for name in rows for line in rows[name]),
    ]
    path.write_text(before + start + "\n".join(lines) + "\n" + end + after)


BENCHES: dict[str, Callable[[Setup], Iterator[Result]]] = {
    "cold": cold,
    "warm": warm,
    "size": size,
    "start": start,
    "history": history,
    "live": live,
    "failing": failing_providers,
    "agents": crowd,
    "latency": latency,
    "keys": keys,
    "kinds": kinds,
    "database": database,
    "replay": replay,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "bench")
    parser.add_argument("--json", type=Path, help="write the results there as well")
    parser.add_argument(
        "--readme", type=Path, help="write them as a table between the bench marks of that file"
    )
    args = parser.parse_args()
    if unknown := set(args.names) - set(BENCHES):
        parser.error(f"no bench named {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(
        os.pathsep
    )
    args.cache.mkdir(parents=True, exist_ok=True)
    setup, results = Setup(args.cache.absolute(), args.runs), list[Result]()
    print(f"{'bench':9} {'what':58} {'value':>12} {'unit':8} bar", flush=True)
    for name in args.names or BENCHES:
        for result in BENCHES[name](setup):
            print(result.line(), flush=True)
            results.append(result)
    if args.readme:
        write_table(args.readme, results)
    if args.json:
        args.json.write_text(json.dumps([asdict(r) for r in results], indent=1) + "\n")


if __name__ == "__main__":
    main()
