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

fail() {
    echo "redis-for-tests: $*" >&2
    exit 1
}

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# The pid file of a crashed server may name a process that is somebody else's by now: the command line tells.
running() {
    [ -f "$folder/redis.pid" ] && [ -f "$folder/redis.port" ] || return 1
    ps -o args= -p "$(cat "$folder/redis.pid")" 2>/dev/null |
        grep -qF -- "redis-server 127.0.0.1:$(cat "$folder/redis.port")"
}

print_url() {
    echo "redis://127.0.0.1:$(cat "$folder/redis.port")"
}

# Only what start made: the mark says so.
remove_traces() {
    [ -e "$folder" ] || return 0
    [ -f "$folder/throwaway" ] || fail "$folder was not made by this script"
    rm -f "$folder/redis.pid" "$folder/redis.port" "$folder/server.log" "$folder/throwaway"
    rmdir "$folder" 2>/dev/null || true
}

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

# Two starters may pick the same free port at the same moment; the loser moves on to the next one.
start_server() {
    command -v redis-server >/dev/null 2>&1 ||
        fail "no Redis server found; on Debian or Ubuntu: apt-get install redis-server"
    port=$((20000 + $$ % 20000))
    last=$((port + 50))
    while [ "$port" -lt "$last" ]; do
        rm -f "$folder/server.log"
        # A server that cannot have its port ends before it becomes a daemon, or after: the log tells in either case.
        redis-server --bind 127.0.0.1 --port "$port" --dir "$folder" --daemonize yes --pidfile "$folder/redis.pid" \
            --logfile "$folder/server.log" --save '' --appendonly no >/dev/null 2>&1 || true
        if await_server; then
            echo "$port" >"$folder/redis.port"
            return
        fi
        port=$((port + 1))
    done
    fail "no free port found"
}

[ $# -eq 2 ] || usage
action=$1
case $2 in
/*) folder=$2 ;;
*) folder=$(pwd)/$2 ;;
esac

case $action in
start)
    if ! running; then
        if [ -d "$folder" ] && [ ! -f "$folder/throwaway" ] && [ -n "$(ls -A "$folder")" ]; then
            fail "$folder is not empty, and was not made by this script"
        fi
        mkdir -p "$folder"
        : >"$folder/throwaway"
        start_server
    fi
    print_url
    ;;
url)
    running || fail "no server is running in $folder"
    print_url
    ;;
stop)
    if running; then
        pid=$(cat "$folder/redis.pid")
        kill "$pid"
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -lt 100 ] || fail "process $pid did not end"
            sleep 0.1
        done
    fi
    remove_traces
    ;;
*) usage ;;
esac
