"""Keys: where they are looked for, what is refused, and that no text of any kind shows one.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import stat
import sys
import traceback
import types
from pathlib import Path

import msgspec
import pytest

from tokentop.polling.keys import Held, find_key
from tokentop.providers import provider
from tokentop.settings import credentials
from tokentop.settings.addresses import url_problem
from tokentop.settings.config import ProviderSettings, SettingsError
from tokentop.settings.credentials import Found, Secret, find, keep, read_secrets
from tokentop.settings.load import load, parse

CANARY = "sk-CANARY-0123456789abcdef"
NOTHING = ProviderSettings()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "TOKENTOP_CONFIG": str(tmp_path / "config.toml"),
        "PATH": os.environ["PATH"],
    }


def test_no_text_of_a_secret_shows_it() -> None:
    """50."""
    secret = Secret(CANARY)
    held = Held(provider("vercel"), NOTHING, found=Found(secret, "x"))
    texts = [
        str(secret), repr(secret), f"{secret}", f"{secret:>80}", f"{secret!r:s}", "%s %r" % (secret, secret),  # noqa: UP031
        repr([secret]), repr({"k": secret}), repr(Found(secret)), repr(held), str(held), ascii(secret),
    ]  # fmt: skip
    assert not [text for text in texts if "CANARY" in text]
    assert secret.reveal() == CANARY
    assert (secret.tail, Secret("short-key").tail) == ("cdef", "")
    assert secret == Secret(CANARY)
    assert secret != Secret("other")
    assert len({secret, Secret(CANARY)}) == 1


def test_a_secret_is_not_stored_by_any_serialiser() -> None:
    secret = Secret(CANARY)
    for serialise in (msgspec.json.encode, msgspec.msgpack.encode, json.dumps, pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            serialise(secret)
        assert "CANARY" not in str(caught.value)


def test_a_crash_with_all_locals_shows_no_key(
    environ: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """50: the crash screens of others print every local of every frame."""
    from rich.console import Console
    from rich.traceback import Traceback

    held = Held(provider("vercel"), NOTHING)
    environ["AI_GATEWAY_API_KEY"] = CANARY
    find_key(held, environ)
    environ.clear()  # an environment is no secret of ours: it holds what it holds
    secret, target = held.found.secret, held.target
    try:
        raise RuntimeError(f"{secret} {target} {held}")
    except RuntimeError as error:
        logging.getLogger("tokentop").exception("%s", target)
        console = Console(width=400, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        console.print(Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True))
        console.file.close()
        drawn = console.export_text() + traceback.format_exc() + caplog.text
    assert "RuntimeError" in drawn
    assert CANARY not in drawn


def test_the_order_of_places(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path / "secrets.toml", "openai", Secret("from-file"))
    ring = types.ModuleType("keyring")
    ring.get_password = lambda service, user: f"{service}-{user}-ring"  # type: ignore[attr-defined]
    ring.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    by_command = ProviderSettings(key_command=(sys.executable, "-c", "print('from-command')"))
    vendor = ("OPENAI_ADMIN_KEY",)

    def found(settings: ProviderSettings, **more: str) -> tuple[str, str]:
        one = find("openai", vendor, settings, environ | more)
        return (one.secret.reveal() if one.secret else "", one.origin)

    assert found(NOTHING) == ("from-file", "secrets.toml")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert found(NOTHING) == ("tokentop-openai-ring", "keyring")
    assert found(by_command) == ("from-command", "key_command")
    assert found(by_command, OPENAI_ADMIN_KEY="v") == ("v", "$OPENAI_ADMIN_KEY")
    both = {"OPENAI_ADMIN_KEY": "v", "TOKENTOP_OPENAI_KEY": "own"}
    assert found(by_command, **both) == ("own", "$TOKENTOP_OPENAI_KEY")
    ring.get_password = None  # type: ignore[attr-defined]
    assert found(NOTHING) == ("from-file", "secrets.toml")


@pytest.mark.parametrize(
    ("code", "words"),
    [("import sys; print('sk-CANARY-x', file=sys.stderr); sys.exit(3)", "status 3"), ("print('')", "not a key"),
     ("print('two words')", "not a key"), (r"print('a\x00b')", "not a key"), ("print('x' * 9999)", "not a key")],
)  # fmt: skip
def test_a_key_command_that_fails_is_named_without_its_output(
    environ: dict[str, str], code: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found = find("openai", (), ProviderSettings(key_command=(sys.executable, "-c", code)), environ)
    assert (found.secret, words in found.problem) == (None, True)
    assert "CANARY" not in found.problem + "".join(capfd.readouterr())


def test_a_key_command_is_not_run_for_a_list_and_sees_no_key(environ: dict[str, str], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"import os; open({str(mark)!r}, 'w').write(str(dict(os.environ))); print('k')"
    settings = ProviderSettings(key_command=(sys.executable, "-c", code))
    assert find("openai", (), settings, environ, ask=False) == Found(origin="key_command")
    assert not mark.exists()
    missing = find("openai", (), ProviderSettings(key_command=("/no/such/program",)), environ)
    assert "No such file" in missing.problem
    assert find("openai", ("VENDOR",), settings, environ | {"VENDOR": ""}).secret == Secret("k")
    assert "HOME" in mark.read_text()
    assert "VENDOR" not in mark.read_text()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(environ: dict[str, str], tmp_path: Path, mode: int) -> None:
    """51."""
    path = tmp_path / "secrets.toml"
    path.write_text(f'openai = "{CANARY}"\n')
    path.chmod(mode)
    found = find("openai", (), NOTHING, environ)
    assert (found.secret, f"chmod 600 {path}" in found.problem) == (None, True)
    path.chmod(0o600)
    assert find("openai", (), NOTHING, environ).secret == Secret(CANARY)


def test_links_folders_and_pipes_are_refused(environ: dict[str, str], tmp_path: Path) -> None:
    """51."""
    path, real = tmp_path / "secrets.toml", tmp_path / "real"
    real.write_text(f'openai = "{CANARY}"\n')
    real.chmod(0o600)
    path.symlink_to(real)
    assert "symbolic link" in read_secrets(path).problem
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "not a regular file" in read_secrets(path).problem
    path.unlink()
    path.mkdir()
    assert read_secrets(path).problem


@pytest.mark.parametrize(
    "text", [f"openai = {CANARY}", f'["{CANARY}"]\n["{CANARY}"]', f'{CANARY} = "x" y', "\xff"]
)
def test_a_broken_file_is_named_without_its_content(
    environ: dict[str, str], tmp_path: Path, text: str
) -> None:
    path = tmp_path / "secrets.toml"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    found = find("openai", (), NOTHING, environ)
    assert (found.secret, "not valid TOML" in found.problem) == (None, True)
    assert "CANARY" not in found.problem


def test_a_stored_key_is_0600_beside_the_others(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "secrets.toml"
    old = os.umask(0)
    try:
        keep(path, "openai", Secret('quo"te\\d'))
        keep(path, "xai", Secret(CANARY))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_secrets(path).keys == {"openai": Secret('quo"te\\d'), "xai": Secret(CANARY)}
    assert [one.name for one in path.parent.iterdir()] == ["secrets.toml"]
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        keep(path, "xai", Secret("new"))


def test_the_signature_changes_with_the_file(environ: dict[str, str], tmp_path: Path) -> None:
    before = credentials.signature(environ)
    keep(tmp_path / "secrets.toml", "openai", Secret("one"))
    assert credentials.signature(environ) != before


# ---------------------------------------------------------------- where a key may go


@pytest.mark.parametrize(
    "url",
    ["http://api.example", "ftp://x", "https://user:pass@host", "https://host?key=1", "https://host#f", "host", "https://",
     "http://127.0.0.1.evil.example", "https://a b", "http://192.168.0.4", "https://host\\@evil", "http://[::2]", "https://h:0"],
)  # fmt: skip
def test_base_urls_that_are_refused(url: str) -> None:
    assert url_problem(url)
    with pytest.raises(SettingsError, match=r"c\.toml, line 2: providers\.openai\.base_url"):
        parse(f"[providers.openai]\nbase_url = {json.dumps(url)}\n", "c.toml")


@pytest.mark.parametrize(
    "url", ["https://api.example/v2", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:2"]
)
def test_base_urls_that_are_taken(url: str) -> None:
    assert parse(f'[providers.openai]\nbase_url = "{url}"\n').providers["openai"].base_url == url


def test_a_proxy_in_the_private_network_is_for_litellm_alone() -> None:
    assert parse('[providers.litellm]\nbase_url = "http://192.168.0.4:4000"\n').providers
    assert url_problem("http://8.8.8.8", private_network=True)


def test_unknown_providers_and_settings_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match="did you mean 'openai'"):
        parse("[providers.opnai]\non = true\n")
    with pytest.raises(SettingsError, match="did you mean 'base_url'"):
        parse('[providers.openai]\nbase_urll = ""\n')
    with pytest.raises(SettingsError, match="unknown setting"):
        parse("[providers.http]\non = true\n")
    with pytest.raises(SettingsError, match=r"providers\.openai\.key_command: Expected `array`"):
        parse('[providers.openai]\nkey_command = "pass show x"\n')


def test_no_variable_and_no_file_of_a_project_moves_a_key(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """52."""
    project = tmp_path / "cloned"
    project.mkdir()
    evil = '[providers.openai]\non = true\nbase_url = "https://evil.example"\n'
    for name in ("config.toml", "tokentop.toml", ".env", ".tokentop.toml"):
        (project / name).write_text(evil)
    (project / "secrets.toml").write_text('openai = "theirs"\n')
    (tmp_path / "config.toml").write_text("[providers.openai]\non = true\n")
    monkeypatch.chdir(project)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "TOKENTOP_OPENAI_BASE_URL"):
        environ[name] = "https://evil.example"
    held = Held(provider("openai"), load(environ).providers["openai"])
    find_key(held, environ | {"OPENAI_ADMIN_KEY": CANARY})
    assert held.target is not None
    assert held.target.base_url == "https://api.openai.com"
    find_key(held, environ)
    assert held.target is None
