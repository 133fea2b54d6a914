#!/usr/bin/env bash
# node.sh - what cluster.yaml runs on a node of a Ray cluster.
#
#   node.sh install           install the checkout beside this file into ~/raysearch-env, unless that very source
#                             is installed; shells of the node find it, and Ray's token
#   node.sh address [PEER]    print the address by which the node reaches PEER, or by which ssh has reached the node
#   node.sh stop              end what an earlier Ray has left on the node
#   node.sh end-with-raylet   wait in the background for the node's raylet to end, then end what it leaves
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/.." && pwd)
ENVIRONMENT=$HOME/raysearch-env
export PATH=$ENVIRONMENT/bin:$PATH

installed() { # what `python3 -m raysearch` runs is made of the very source beside this file
  local there yaml
  there=$(cd / && python3 -c 'import pathlib, raysearch; print(pathlib.Path(raysearch.__file__).parent)' 2>/dev/null) ||
    return 1
  yaml=$there/shipped # where a wheel has the YAML files
  [ -d "$yaml/config" ] || yaml=$there/..
  diff -rq -x __pycache__ -x config -x search_spaces "$SOURCE/raysearch" "$there" &&
    diff -rq "$SOURCE/config" "$yaml/config" && diff -rq "$SOURCE/search_spaces" "$yaml/search_spaces"
} >/dev/null 2>&1

install() {
  local line='export PATH="$HOME/raysearch-env/bin:$PATH" RAY_AUTH_MODE=token  # raysearch'
  grep -qxF "$line" ~/.bashrc 2>/dev/null || printf '%s\n' "$line" >>~/.bashrc
  [ ! -e ~/.ray/auth_token ] || chmod 600 ~/.ray/auth_token
  if installed; then
    echo "raysearch is installed: $(command -v python3)"
    return
  fi
  python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
    { echo "node.sh: raysearch needs Python 3.11 to 3.13, got $(python3 --version)" >&2; exit 1; }
  [ -x "$ENVIRONMENT/bin/python3" ] || python3 -m venv "$ENVIRONMENT"
  "$ENVIRONMENT/bin/python3" -m pip install --quiet -c "$SOURCE/constraints.txt" "$SOURCE"
}

address() {
  if [ -n "${1:-}" ]; then
    ip -o route get "$1" | sed -n 's/.* src \([^ ]*\).*/\1/p'
  else
    local via
    read -ra via <<<"${SSH_CONNECTION:-}" # the client's address and port, then those that it came to
    if [ "${#via[@]}" = 4 ]; then echo "${via[2]}"; else hostname -I | cut -d' ' -f1; fi
  fi
}

end_with_raylet() {
  local raylet
  raylet=$(pgrep -o -x raylet) || return 0
  # Ended by a later `ray start` too: whatever raylet runs by then is left alone.
  setsid bash -c "while kill -0 $raylet; do sleep 2; done; pgrep -x raylet || ray stop --grace-period 3" \
    </dev/null >/dev/null 2>&1 &
}

case ${1:-} in
  install) install ;;
  address) address "${2:-}" ;;
  stop) ray stop --grace-period 3 ;;
  end-with-raylet) end_with_raylet ;;
  *) sed -n 's/^# \{0,1\}//p' "$0" | sed -n 2,7p; exit 1 ;;
esac
