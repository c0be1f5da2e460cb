#!/bin/sh
# A throwaway Redis for the test suite.
#
#   redis-for-tests.sh start FOLDER   starts a server in FOLDER (or finds it running), prints its URL
#   redis-for-tests.sh url FOLDER     prints the URL of the running server
#   redis-for-tests.sh stop FOLDER    ends it by the process id it wrote and removes what start made
#
# It listens on the loopback address only, on a port that was free, and writes nothing to disk but its log and its
# process id: never put data in it that you want back.
set -eu

name=redis
usage_lines=9
# shellcheck source=deploy/throwaway.sh
. "$(dirname "$0")/throwaway.sh"

url() { echo "redis://127.0.0.1:$1"; }

is_ours() { grep -qF -- "redis-server 127.0.0.1:$1"; }

# True when the server answers, false when it gave up. Its log says which, so nobody else is taken for it.
await_server() {
    tries=0
    while [ "$tries" -lt 100 ]; do
        ! grep -q 'Ready to accept connections' "$folder/server.log" 2>/dev/null || return 0
        ! grep -qE 'Could not create server TCP|Failed listening' "$folder/server.log" 2>/dev/null || return 1
        tries=$((tries + 1))
        sleep 0.1
    done
    fail "the server did not start, see $folder/server.log"
}

launch() {
    command -v redis-server >/dev/null 2>&1 ||
        fail "no Redis server found; on Debian or Ubuntu: apt-get install redis-server"
    # A server that cannot have its port ends before it becomes a daemon, or after: the log tells in either case.
    redis-server --bind 127.0.0.1 --port "$1" --dir "$folder" --daemonize yes --pidfile "$folder/redis.pid" \
        --logfile "$folder/server.log" --save '' --appendonly no >/dev/null 2>&1 || true
    await_server
}

throwaway "$@"
