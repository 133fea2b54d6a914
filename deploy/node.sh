#!/usr/bin/env bash
# node.sh - what cluster.yaml runs on a node of a Ray cluster.
#
#   node.sh install           install the checkout beside this file into ~/raysearch-env, unless that very source
#                             is installed; shells of the node find it, and Ray's token
#   node.sh address [PEER]    print the address by which the node reaches PEER, or by which ssh has reached the node
#   node.sh stop              end Ray on the node, and what watches over it (after `ray stop` alone it joins again)
#   node.sh keep HEAD COMMAND run COMMAND, which joins the cluster of HEAD (address:port), and watch over it: when the
#                             node has lost the head, what Ray leaves is ended, and COMMAND is run again when the head
#                             is reached again. Until nobody listens at HEAD any more, or a day after it was reached
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/.." && pwd)
ENVIRONMENT=$HOME/raysearch-env
WATCHER=$HOME/.ray/raysearch-watcher # its process, and beside it its log
mkdir -p "$HOME/.ray"
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

stop() {
  local watcher
  watcher=$(cat "$WATCHER" 2>/dev/null) || watcher=
  if [ -n "$watcher" ] && grep -q node.sh "/proc/$watcher/cmdline" 2>/dev/null; then kill -- "-$watcher" || true; fi
  rm -f "$WATCHER"
  ray stop --grace-period 3 || true
}

alone() { # hold the node's lock, as descriptor 9, until this shell ends
  exec 9>"$WATCHER.lock"
  flock -w 300 9 || { echo "node.sh: another one has been at work on this node for 5 minutes" >&2; exit 1; }
}

keep() {
  command -v pgrep >/dev/null || { echo "node.sh: pgrep is not there; install procps" >&2; exit 1; }
  trap '' HUP # ssh may be cut off in the middle, and Ray then tries again while this one still runs
  alone
  stop 9>&-
  local failed=0
  "${@:2}" 9>&- || failed=$?
  setsid bash "$SOURCE/deploy/node.sh" watch "$@" </dev/null >"$WATCHER.log" 2>&1 9>&- &
  echo $! >"$WATCHER"
  return $failed
}

joined() { # HEAD: a raylet of that head's lives here; studies may have a Ray of their own beside it
  local host=${1%:*} port=${1##*:} ip raylet
  ip=$(getent ahostsv4 "$host" | sed -n '1s/ .*//p') || ip=$host
  for raylet in $(pgrep -u "$(id -u)" -x raylet); do
    ! grep -qzxF -e "--gcs-address=$host:$port" -e "--gcs-address=$ip:$port" "/proc/$raylet/cmdline" 2>/dev/null ||
      return 0
  done
  return 1
}

reached() { # HEAD: print open, refused, or away
  local said
  if said=$(LC_ALL=C timeout 3 bash -c "exec 3<>/dev/tcp/${1%:*}/${1##*:}" 2>&1); then echo open
  elif [[ $said == *refused* ]]; then echo refused
  else echo away; fi
}

watch() {
  local head=$1 since=$SECONDS seen=$SECONDS refused=0 cleaned='' pause=15
  while ((SECONDS - seen < 86400 && refused < 30)); do
    sleep 2
    if joined "$head"; then
      since=$SECONDS seen=$SECONDS refused=0 cleaned='' pause=15
      continue
    fi
    [ -n "$cleaned" ] || ray stop --grace-period 3 || true
    cleaned=1
    case $(reached "$head") in
      refused) refused=$((refused + 1)) ;;
      away) refused=0 since=$SECONDS ;;
      open) # Ray's autoscaler comes by ssh at once, if it comes at all: it gives a node up that failed once
        refused=0 seen=$SECONDS
        if ((SECONDS - since >= pause)); then
          cleaned=''
          "${@:2}" || true
          since=$SECONDS pause=$((pause < 240 ? 2 * pause : 240))
        fi ;;
    esac
  done
}

case ${1:-} in
  install) install ;;
  address) address "${2:-}" ;;
  stop) alone; stop 9>&- ;;
  keep) keep "${@:2}" ;;
  watch) watch "${@:2}" ;;
  *) sed -n 's/^# \{0,1\}//p' "$0" | sed -n '3,/^$/p'; exit 1 ;;
esac
