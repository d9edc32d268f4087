#!/usr/bin/env bash
# Install the pinned real clients that the end-to-end tests drive, and the Node that they run on.
#
#   tests/e2e/install_clients.sh CACHE [CLIENT...]        CLIENT: a name of the table below, or all (gigabytes)
#
# Without a client: claude and codex. CACHE/CLIENT/node_modules/.bin/... or CACHE/CLIENT/bin/...; needs npm, and for the
# clients in Python an interpreter of the named version (PYTHON=python3.13). A client whose pinned version is already
# there is left alone, so a second call takes no time. Each has a prefix of its own: npm on an older Node would otherwise
# choose an older Claude Code.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v npm >/dev/null 2>&1 || { echo "install_clients.sh: npm is not installed; the real clients come from npm" >&2; exit 1; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
shift

# CLIENT REGISTRY PACKAGE VERSION PROGRAM
table="
claude    npm @anthropic-ai/claude-code     2.1.330  node_modules/.bin/claude
codex     npm @openai/codex                 0.169.0  node_modules/.bin/codex
gemini    npm @google/gemini-cli            0.61.0   node_modules/.bin/gemini
qwen      npm @qwen-code/qwen-code          0.24.4   node_modules/.bin/qwen
opencode  npm opencode-ai                   1.18.33  node_modules/.bin/opencode
kilo      npm @kilocode/cli                 7.7.7    node_modules/.bin/kilo
copilot   npm @github/copilot               1.0.102  node_modules/.bin/copilot
pi        npm @mariozechner/pi-coding-agent 0.73.1   node_modules/.bin/pi
kimi-code npm @moonshot-ai/kimi-code        2.1.0    node_modules/.bin/kimi
droid     npm @factory/cli-linux-x64        0.215.0  node_modules/@factory/cli-linux-x64/bin/droid
openclaw  npm openclaw                      2026.9.6 node_modules/.bin/openclaw
cline     npm cline                         3.0.65   node_modules/.bin/cline
continue  npm @continuedev/cli              1.5.47   node_modules/.bin/cn
kimi-cli  pip kimi-cli                      1.50.0   bin/kimi
vibe      pip mistral-vibe                  3.0.2    bin/vibe
aider     pip aider-chat                    0.86.2   bin/aider
"

fetch() { # REGISTRY PREFIX PACKAGE VERSION
  if [ "$1" = npm ]; then
    PATH="$cache/node/node_modules/.bin:$PATH" \
      npm install --prefix "$2" --no-audit --no-fund --no-save --loglevel=error "$3@$4"
  else
    "${PYTHON:-python3}" -m venv "$2" && "$2/bin/pip" install -q "$3==$4"
  fi
}

install() { # CLIENT REGISTRY PACKAGE VERSION PROGRAM
  local prefix=$cache/$1 stamp=$cache/$1/.installed log=$cache/$1.log
  if [ "$(cat "$stamp" 2>/dev/null)" = "$3@$4" ] && [ -x "$prefix/$5" ]; then
    return
  fi
  rm -rf "$prefix"
  mkdir -p "$prefix"
  echo "installing $3@$4" >&2
  fetch "$2" "$prefix" "$3" "$4" >"$log" 2>&1 ||
    { tail -n 20 "$log" >&2; echo "install_clients.sh: $2 install $3@$4 failed" >&2; exit 1; }
  [ -x "$prefix/$5" ] || { echo "install_clients.sh: $3@$4 has no program $5" >&2; exit 1; }
  echo "$3@$4" >"$stamp"
}

[ $# -gt 0 ] || set -- claude codex
[ "$1" != all ] || set -- $(awk 'NF { print $1 }' <<<"$table")
install node npm node 24.21.0 node_modules/.bin/node
for client in "$@"; do
  row=$(awk -v client="$client" '$1 == client' <<<"$table")
  [ -n "$row" ] || { echo "install_clients.sh: no client $client" >&2; exit 2; }
  install $row
done
