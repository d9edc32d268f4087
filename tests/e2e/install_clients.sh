#!/usr/bin/env bash
# Install the pinned real clients that the end-to-end tests drive, and the Node that they run on.
#
#   tests/e2e/install_clients.sh CACHE
#
# CACHE/{node,claude,codex}/node_modules/.bin/... ; needs only npm. A client whose pinned version is already there is
# left alone, so a second call takes no time. Each has a prefix of its own: npm on an older Node would otherwise choose
# an older Claude Code.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command -v npm >/dev/null 2>&1 || { echo "install_clients.sh: npm is not installed; the real clients come from npm" >&2; exit 1; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)

install() { # NAME PACKAGE VERSION BINARY
  local prefix=$cache/$1 stamp=$cache/$1/.installed
  if [ "$(cat "$stamp" 2>/dev/null)" = "$2@$3" ] && [ -x "$prefix/node_modules/.bin/$4" ]; then
    return
  fi
  rm -rf "$prefix"
  mkdir -p "$prefix"
  echo "installing $2@$3" >&2
  PATH="$cache/node/node_modules/.bin:$PATH" \
    npm install --prefix "$prefix" --no-audit --no-fund --no-save --loglevel=error "$2@$3" >"$prefix/install.log" 2>&1 ||
    { tail -n 20 "$prefix/install.log" >&2; echo "install_clients.sh: npm install $2@$3 failed" >&2; exit 1; }
  [ -x "$prefix/node_modules/.bin/$4" ] || { echo "install_clients.sh: $2@$3 has no program $4" >&2; exit 1; }
  echo "$2@$3" >"$stamp"
}

install node node 24.21.0 node
install claude @anthropic-ai/claude-code 2.1.330 claude
install codex @openai/codex 0.169.0 codex
