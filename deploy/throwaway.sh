# What the scripts of throwaway servers have in common; they source it, and end with `throwaway "$@"`. PostgreSQL's, which has a
# cluster to make and a process id in a place of its own, takes fail, usage and await_end only.
#
# A script says: $name (of its server; names the files), usage_lines (of its head), url PORT, is_ours PORT (the command line
# of the process that has our number), and launch PORT, which starts a server, writes its process id to $folder/$name.pid and
# is true when the server answers, false when it could not have the port.
# shellcheck shell=sh disable=SC2154 # the script that sources it sets them

fail() {
    echo "$name-for-tests: $*" >&2
    exit 1
}

usage() {
    sed -n "2,${usage_lines}s/^# \{0,1\}//p" "$0" >&2
    exit 2
}

# The pid file of a crashed server may name a process that is somebody else's by now: the command line tells.
running() {
    [ -f "$folder/$name.pid" ] && [ -f "$folder/$name.port" ] || return 1
    ps -o args= -p "$(cat "$folder/$name.pid")" 2>/dev/null | is_ours "$(cat "$folder/$name.port")"
}

# Only what start made: the mark says so.
remove_traces() {
    [ -e "$folder" ] || return 0
    [ -f "$folder/throwaway" ] || fail "$folder was not made by this script"
    rm -f "$folder/$name.pid" "$folder/$name.port" "$folder/server.log" "$folder/throwaway"
    rmdir "$folder" 2>/dev/null || true
}

# Two starters may pick the same free port at the same moment; the loser moves on to the next one.
start_server() {
    port=$((20000 + $$ % 20000))
    last=$((port + 50))
    while [ "$port" -lt "$last" ]; do
        rm -f "$folder/server.log"
        if launch "$port"; then
            echo "$port" >"$folder/$name.port"
            return
        fi
        port=$((port + 1))
    done
    fail "no free port found"
}

end_server() {
    pid=$(cat "$folder/$name.pid")
    kill "$pid"
    await_end "$pid"
}

await_end() {
    tries=0
    while kill -0 "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "process $1 did not end"
        sleep 0.1
    done
}

throwaway() {
    [ $# -eq 2 ] || usage
    case $2 in
    /*) folder=$2 ;;
    *) folder=$(pwd)/$2 ;;
    esac
    case $1 in
    start)
        if ! running; then
            if [ -d "$folder" ] && [ ! -f "$folder/throwaway" ] && [ -n "$(ls -A "$folder")" ]; then
                fail "$folder is not empty, and was not made by this script"
            fi
            mkdir -p "$folder"
            : >"$folder/throwaway"
            start_server
        fi
        url "$(cat "$folder/$name.port")"
        ;;
    url)
        running || fail "no server is running in $folder"
        url "$(cat "$folder/$name.port")"
        ;;
    stop)
        ! running || end_server
        remove_traces
        ;;
    *) usage ;;
    esac
}
