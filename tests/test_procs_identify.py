"""Which processes are an agent's, by exe and argv; no process is started here."""

import pytest

from tests.fake_agents.world import SPECS
from tokentop.agents.claude.processes import PROCESSES as CLAUDE
from tokentop.agents.codex.processes import PROCESSES as CODEX
from tokentop.agents.processes import identify
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.procs.linux import parse_stat

SID = "0c7a3f1e-1111-4222-8333-444455556666"
VENDOR = "/x/node_modules/@openai/codex/vendor/x86_64-unknown-linux-musl"


@pytest.mark.parametrize(
    ("argv", "exe", "agent", "role", "one_shot"),
    [
        (["/srv/my tools/claude", "-p", "hi"], "", "claude", ProcRole.AGENT, True),  # case 1
        (["claude"], "/h/.local/share/claude/versions/2.1.330", "claude", ProcRole.AGENT, False),  # case 2
        (
            ["node", "/x/node_modules/@openai/codex/bin/codex.js"],
            "/usr/bin/node",
            "codex",
            ProcRole.AGENT,
            False,
        ),
        (
            [f"{VENDOR}/bin/codex", "exec", "x"],
            f"{VENDOR}/bin/codex",
            "codex",
            ProcRole.AGENT,
            True,
        ),  # case 4
        (["node", "/x/node_modules/@anthropic-ai/claude-code/cli.js"], "/n", "claude", ProcRole.AGENT, False),
        (["node", "--max-old-space-size=9", "/x/.bin/claude"], "/n", "claude", ProcRole.AGENT, False),
        (["codex", "-c", "model=x", "exec", "resume", SID], "", "codex", ProcRole.AGENT, True),
        (["codex", "app-server", "--listen", "unix://"], "", "codex", ProcRole.DAEMON, False),  # case 10
        (
            ["codex", "app-server", "daemon", "pid-update-loop"],
            "",
            "codex",
            ProcRole.UPDATER,
            False,
        ),  # case 10
        (
            ["claude.exe", "daemon", "run", "--origin", "transient"],
            "",
            "claude",
            ProcRole.DAEMON,
            False,
        ),  # 11
        (
            ["claude", "--bg-pty-host", "/s", "--", "claude"],
            "",
            "claude",
            ProcRole.PTY_HOST,
            False,
        ),  # case 11
        (["claude", "--bg-spare", "x"], "", "claude", ProcRole.SPARE, False),  # case 11
    ],
)
def test_a_program_of_an_agent_is_recognised_with_its_role(argv, exe, agent, role, one_shot):
    """processes.md cases 1 to 4, 10 and 11."""
    found = identify(argv, exe, SPECS)
    assert found is not None
    assert (found.spec.agent, found.role, found.spec.one_shot(found.argv)) == (agent, role, one_shot)


@pytest.mark.parametrize(
    ("argv", "exe"),
    [
        (["vim", "claude.md"], "/usr/bin/vim"),
        (["vim", "claude"], "/usr/bin/vim"),
        (["grep", "-r", "codex exec", "."], "/usr/bin/grep"),
        (["tail", "-f", "claude.log"], "/usr/bin/tail"),
        (["bash", "-c", "echo claude"], "/bin/bash"),
        (["bash", "-c", "claude"], "/bin/bash"),
        (["claude", "--version"], "/x/claude"),
        (["codex", "--help"], "/x/codex"),
        (["claude", "mcp-server"], "/x/claude"),
        (["codex", "mcp-server"], "/x/codex"),
        (["codex", "app-server", "daemon", "stop"], "/x/codex"),
        (["claude-code-acp"], "/x/claude-code-acp"),
        (["Claude"], "/Applications/Claude.app/Contents/MacOS/Claude"),
        (["python3", "x.py"], "/usr/bin/python3"),
        (["rg", "x"], "/h/.local/share/claude/versions/2.1.330"),
        ([f"{VENDOR}/path/rg", "x"], f"{VENDOR}/path/rg"),
        ([], ""),
        ([""], ""),
    ],
)
def test_other_programs_are_no_agent(argv, exe):
    """processes.md cases 5, 6, 7, 14 and 18, and the tools that agents bring along."""
    assert identify(argv, exe, SPECS) is None


@pytest.mark.parametrize(
    ("spec", "argv", "expected"),
    [
        (CLAUDE, ["claude", "--resume", SID], SID),  # case 42
        (CLAUDE, ["claude", "-r", SID], SID),
        (CLAUDE, [f"claude --session-id={SID}".split()[0], f"--session-id={SID}"], SID),
        (CLAUDE, ["claude", "--resume", SID, "--fork-session"], ""),
        (CLAUDE, ["claude", "--resume", "some words"], ""),
        (CLAUDE, ["claude", "--", "--resume", SID], ""),
        (CODEX, ["codex", "resume", SID], SID),
        (CODEX, ["codex", "-m", "resume", "x", SID], ""),
        (CODEX, ["codex", "exec", "resume", SID, "go on"], SID),
        (CODEX, ["codex", "fork", SID], ""),
    ],
)
def test_a_session_id_in_argv_is_used_only_where_it_names_this_session(spec, argv, expected):
    """processes.md case 42."""
    assert spec.argv_session(argv) == expected


def test_a_thread_is_read_from_the_name_of_an_open_rollout_or_lock():
    """processes.md case 33."""
    assert CODEX.fd_session(f"/h/.codex/sessions/2026/11/21/rollout-2026-11-21T10-00-00-{SID}.jsonl") == SID
    assert CODEX.fd_session(f"/h/.codex/thread-writer-locks/{SID}.lock") == SID
    assert CODEX.fd_session(f"/h/notes-{SID}.jsonl") == ""


def test_stat_is_parsed_where_the_name_holds_parentheses_and_spaces():
    """processes.md case 16."""
    tail = b"S 7 8 9 34816 1 0 0 0 0 0 30 12 0 0 20 0 1 0 95175 1000 55 " + b"0 " * 20
    parsed = parse_stat(b"4711 (a) R 1 (b) " + tail)
    assert (parsed.comm, parsed.state, parsed.ppid, parsed.sid) == ("a) R 1 (b", "S", 7, 9)
    assert (parsed.cpu_ticks, parsed.start_ticks) == (42, 95175)


def claude_entry(**fields):
    import msgspec

    document = {"pid": 4711, "sessionId": SID, "procStart": "95175", "kind": "interactive"} | fields
    return CLAUDE.parse_registry("sessions/4711.json", msgspec.json.encode(document))


@pytest.mark.parametrize(
    ("fields", "state", "detail"),
    [
        ({"status": "busy"}, State.WORKING, ""),
        ({"status": "shell"}, State.WORKING, ""),
        ({"status": "idle"}, State.IDLE, ""),
        ({"status": "waiting", "waitingFor": "permission prompt"}, State.PERMISSION, "permission prompt"),
        ({"status": "waiting", "waitingFor": "sandbox request"}, State.PERMISSION, "sandbox request"),
        ({"status": "waiting", "waitingFor": "input needed"}, State.INPUT, "input needed"),
        ({"status": "waiting", "waitingFor": "a new kind"}, State.INPUT, "a new kind"),
        ({"status": "zen\x1b[31m"}, State.UNKNOWN, "zen␛[31m"),
        ({"entrypoint": "sdk-cli"}, State.WORKING, ""),
        ({"entrypoint": "cli"}, None, ""),
    ],
)
def test_the_published_status_becomes_a_state(fields, state, detail):
    """processes.md cases 25, 57 and 58."""
    entry = claude_entry(**fields)
    assert (entry.state, entry.state_detail) == (state, detail)


def test_a_pid_that_does_not_fit_its_file_is_no_entry():
    """processes.md cases 44 and 81: a pid in a document is a claim."""
    assert claude_entry(pid=1) is None
    assert claude_entry(pid=4712) is None


def test_the_pid_domain_is_split_into_machine_and_namespace():
    """processes.md case 26."""
    entry = claude_entry(pidDomain="linux:abc123:pid:[4026531836]")
    assert (entry.machine_id, entry.pid_ns) == ("abc123", "pid:[4026531836]")


@pytest.mark.parametrize("data", [b"", b'{"pid":471', b"[]", b'{"pid":"x"}', b"\xff"])
def test_damaged_registry_bytes_raise_value_error(data):
    """processes.md case 23: the reader keeps the last good value."""
    with pytest.raises(ValueError, match=r".*"):
        CLAUDE.parse_registry("sessions/4711.json", data)
    with pytest.raises(ValueError, match=r".*"):
        CODEX.parse_registry("app-server-daemon/daemon.pid", data)
