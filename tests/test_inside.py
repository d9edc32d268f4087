"""What a process was started with, and its ports: real processes; secrets never leave; one that ends meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tokentop.nouns.processes import ChildProc, Ident, ProcRole
from tokentop.procs import inside as subject
from tokentop.procs import linux
from tokentop.procs.inside import inside, is_harmless, listening_ports, masked_argv, masked_environment
from tokentop.text import mask_secrets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SERVER = (
    "import socket,sys,time; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); print(s.getsockname()[1],flush=True);"
    " time.sleep(600)"
)


def ident_of(pid: int) -> Ident:
    about = linux.stat(pid)
    assert about is not None
    return Ident(pid, about.start_ticks, os.getuid(), "", "", "python")


@contextmanager
def running(code: str, *arguments: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process that has printed its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env={"PATH": os.environ["PATH"], **env}, text=True,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_arguments_directory_environment_and_ports_of_a_real_process() -> None:
    with running(SERVER, "--api-key", "abcd-1234-secret", HOME="/home/dev", MY_TOKEN="t0p-s3cret", ODD="value") as (
        process, port,
    ):  # fmt: skip
        found = inside(ident_of(process.pid))
    assert found.refusal == ""
    assert found.argv[-2:] == ("--api-key", "***")
    assert found.cwd == os.getcwd()
    env = {name: (value, shown) for name, value, shown in found.env}
    assert env["HOME"] == ("/home/dev", True)
    assert env["MY_TOKEN"] == ("***", False)
    assert env["ODD"] == ("***", False)
    assert "t0p-s3cret" not in repr(found)
    assert "abcd-1234-secret" not in repr(found)
    assert [(one.port, one.address, one.pid) for one in found.ports] == [
        (int(port), "127.0.0.1", process.pid)
    ]


def test_ports_of_a_child_are_found_with_its_command() -> None:
    with running(SERVER) as (process, port):
        child = ChildProc(ident_of(process.pid), os.getpid(), ProcRole.SERVER, "node vite", 0, 0.0, 0)
        ports, note = listening_ports(ident_of(os.getpid()), (child,))
    assert note == ""
    assert [(p.port, p.command) for p in ports if p.pid == process.pid] == [(int(port), "node vite")]


def test_an_ipv6_address_is_read_as_it_is() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        ports, _ = listening_ports(ident_of(os.getpid()))
        assert ("::1", listener.getsockname()[1]) in [(one.address, one.port) for one in ports]


def test_another_start_time_shows_nothing() -> None:
    mine = ident_of(os.getpid())
    found = inside(replace(mine, start_ticks=mine.start_ticks - 1))
    assert "another process" in found.refusal
    assert (found.argv, found.env, found.cwd, found.ports) == ((), (), "", ())


def test_a_process_that_has_ended_shows_nothing() -> None:
    with running("print(1, flush=True); import time; time.sleep(600)") as (process, _):
        ident = ident_of(process.pid)
    found = inside(ident)
    assert "ended" in found.refusal
    assert found.env == ()


def test_a_process_that_ends_while_it_is_read_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subject._read
    with running("print(1, flush=True); import time; time.sleep(600)", HOME="/home/dev") as (process, _):
        ident = ident_of(process.pid)

        def read_and_end(pid: int) -> object:
            found = real(pid)
            process.kill()
            process.wait()
            return found

        monkeypatch.setattr(subject, "_read", read_and_end)
        found = inside(ident)
    assert "ended" in found.refusal
    assert (found.argv, found.env) == ((), ())


def test_a_process_that_ends_at_any_moment_never_raises() -> None:
    for pause_s in (0.0, 0.001, 0.002, 0.005):
        with running("print(1, flush=True); import time; time.sleep(600)") as (process, _):
            ident = ident_of(process.pid)
            process.kill()
            time.sleep(pause_s)
            assert inside(ident).refusal or inside(ident).pid == ident.pid


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "GITHUB_TOKEN", "PGPASSWORD", "SSH_AUTH_SOCK", "DATABASE_URL",
                                  "XDG_SESSION_COOKIE", "XDG_SECRET", "HTTPS_PROXY", "SENTRY_DSN", "api_key", ""])  # fmt: skip
def test_names_that_can_hold_a_secret_are_not_shown(name: str) -> None:
    assert not is_harmless(name)


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=60), max_size=8))
def test_of_an_unknown_name_no_value_is_ever_shown(environ: dict[str, str]) -> None:
    for name, value, shown in masked_environment(environ):
        assert value in {"", "***"} or is_harmless(name)
        assert name.isprintable()
        assert value.isprintable()
        assert not shown or is_harmless(name)


SECRETS = st.sampled_from([
    "sk-ant-REDACTED", "ghp_0123456789abcdef0123456789abcdef0123", "AKIAIOSFODNN7EXAMPLE",
    "glpat-abcdefghij0123456789", "hf_abcdefghijklmnopqrst", "npm_abcdefghijklmnopqrst", "xoxb-1234567890-abcdef",
    "AIzaSyA-1234567890abcdefghijklmnopq", "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSM", "sk_live_0123456789abcdef",
    "Bearer abcdef0123456789", "github_pat_0123456789abcdefghij",
])  # fmt: skip
NAMES = st.sampled_from([
    "GITHUB_TOKEN=", "export AWS_SECRET_ACCESS_KEY=", "--api-key ", "--password=", "password: ", '{"api_key": "',
    '{\\"client_secret\\":\\"', "X-Api-Key: ", "Authorization: Basic ", "my-db-passwd = ", "DB_PASSWORD='",
])  # fmt: skip
WORDS = st.text(alphabet="abcdefgh \n\t/.:=\"'\\{}[]", max_size=30)


@given(WORDS, SECRETS, WORDS)
def test_a_key_of_a_known_maker_is_masked_anywhere(before: str, secret: str, after: str) -> None:
    assert secret.rpartition(" ")[2] not in mask_secrets(f"{before} {secret} {after}")


@given(WORDS, NAMES, st.text(alphabet="abcdefXYZ0123456789+/_-", min_size=8, max_size=40), WORDS)
def test_the_value_of_a_named_secret_is_masked(before: str, name: str, value: str, after: str) -> None:
    assert value not in mask_secrets(f"{before} {name}{value} {after}").removeprefix(before)


def test_what_is_no_secret_stays() -> None:
    for text in ("max_tokens: 32000", "python -m pytest -x", "fix the tokenizer: bug", "monkey: bananas",
                 "https://example.org/a?b=c", "keyboard: layout"):  # fmt: skip
        assert mask_secrets(text) == text
    assert mask_secrets("postgres://app:hunter2@db/x") == "postgres://app:***@db/x"


def test_a_secret_that_the_cut_goes_through_is_masked_as_a_whole() -> None:
    from tokentop.text import one_line

    secret = "ghp_" + "a1b2" * 9
    for lead in range(150, 210):
        assert "a1b2" not in one_line("x" * lead + " " + secret, 200)


def test_an_argument_behind_a_secret_flag_is_hidden() -> None:
    assert masked_argv(["curl", "--token", "abc", "-H", "Authorization: Bearer abcdefghijkl", "--auth-file", "x"]) == (
        "curl", "--token", "***", "-H", "Authorization: Bearer ***", "--auth-file", "***",
    )  # fmt: skip
