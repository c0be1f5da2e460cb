#!/bin/sh
# A throwaway PostgreSQL for the test suite.
#
#   postgres-for-tests.sh start FOLDER   makes and starts a cluster in FOLDER (or finds it running), prints its URL
#   postgres-for-tests.sh url FOLDER     prints the URL of the running cluster
#   postgres-for-tests.sh stop FOLDER    ends it by the process id it wrote and removes what start made
#
# It listens on the loopback address only, on a port that was free, and gives up every durability promise
# (fsync off): never put data in it that you want back. Works as root (the server then runs as the user
# "postgres", because PostgreSQL refuses root) and as any other user.
set -eu

name=postgres
usage_lines=10
# shellcheck source=deploy/throwaway.sh
. "$(dirname "$0")/throwaway.sh"

# The newest installed version wins: Debian keeps the server binaries outside PATH.
find_binaries() {
    for candidate in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin \
        /usr/local/opt/postgresql*/bin /usr/local/pgsql/bin 2>/dev/null | sort -rV); do
        if [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ]; then
            echo "$candidate"
            return
        fi
    done
    on_path=$(command -v pg_ctl || true)
    [ -n "$on_path" ] || fail "no PostgreSQL server found; on Debian or Ubuntu: apt-get install postgresql"
    dirname "$on_path"
}

# Runs one command line as the user that owns the cluster.
as_owner() {
    if [ "$(id -u)" -ne 0 ]; then
        sh -c "$1"
    elif command -v runuser >/dev/null 2>&1; then
        runuser -u postgres -- sh -c "$1"
    else
        su postgres -s /bin/sh -c "$1"
    fi
}

# The pid file of a crashed server may name a process that is somebody else's by now: the command line tells.
running() {
    [ -f "$data/postmaster.pid" ] || return 1
    ps -o args= -p "$(head -n 1 "$data/postmaster.pid")" 2>/dev/null | grep -qF -- "$data"
}

# Line 4 of postmaster.pid is the port the server really took.
print_url() {
    port=$(sed -n 4p "$data/postmaster.pid")
    [ -n "$port" ] || fail "the server has not written its port yet"
    echo "postgres://copydesk@127.0.0.1:$port/copydesk"
}

port_is_taken() {
    if command -v ss >/dev/null 2>&1; then
        ss -ltnH "sport = :$1" 2>/dev/null | grep -q .
    else
        "$bin/pg_isready" -q -h 127.0.0.1 -p "$1"
        [ $? -ne 2 ]
    fi
}

# Only what start made: the mark says so. Anybody else's cluster is left alone.
remove_cluster() {
    [ -e "$data" ] || return 0
    [ -f "$folder/throwaway" ] || fail "$data was not made by this script"
    rm -rf "$data" "$folder/initdb.log" "$folder/server.log" "$folder/throwaway"
}

# initdb with a linguistic collation where the server can (15 and newer): real installations sort that way,
# and a test that passes only under byte order should fail here and not there.
make_cluster() {
    mkdir -p "$folder"
    : >"$folder/throwaway"
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || fail "running as root needs a user called postgres to run the server as"
        chown postgres "$folder"
    fi
    common="'$bin/initdb' -D '$data' -U copydesk -A trust -E UTF8 --no-sync"
    as_owner "cd / && $common --locale=C.UTF-8 --locale-provider=icu --icu-locale=en >'$folder/initdb.log' 2>&1" ||
        as_owner "cd / && rm -rf '$data' && $common --no-locale >'$folder/initdb.log' 2>&1" ||
        fail "initdb failed, see $folder/initdb.log (the server's user must be able to reach that folder)"
    # Everything a test server can do without; many small pools connect at once.
    as_owner "cat >>'$data/postgresql.conf'" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
CONF
}

# Two starters may pick the same free port at the same moment; the loser moves on to the next one.
start_server() {
    port=$((20000 + $$ % 20000))
    tries=0
    while [ "$tries" -lt 50 ]; do
        if ! port_is_taken "$port"; then
            rm -f "$folder/server.log"
            if as_owner "cd / && '$bin/pg_ctl' -D '$data' -l '$folder/server.log' -o '-p $port' -w -t 60 start >/dev/null 2>&1"; then
                return
            fi
            grep -q 'could not create any TCP/IP sockets' "$folder/server.log" ||
                fail "the server did not start, see $folder/server.log"
        fi
        port=$((port + 1))
        tries=$((tries + 1))
    done
    fail "no free port found"
}

[ $# -eq 2 ] || usage
action=$1
case $2 in
/*) folder=$2 ;;
*) folder=$(pwd)/$2 ;;
esac
case $folder in
*"'"*) fail "the folder must not contain a quote" ;;
esac
data=$folder/data

case $action in
start)
    if ! running; then
        bin=$(find_binaries)
        # What a crash left behind was never meant to last: a new cluster takes a second and always starts.
        remove_cluster
        make_cluster
        start_server
        as_owner "'$bin/createdb' -h 127.0.0.1 -p $port -U copydesk copydesk"
    fi
    print_url
    ;;
url)
    running || fail "no server is running in $folder"
    print_url
    ;;
stop)
    if running; then
        [ -f "$folder/throwaway" ] || fail "$data was not made by this script"
        pid=$(head -n 1 "$data/postmaster.pid")
        # SIGINT is PostgreSQL's fast shutdown: it ends the sessions and exits.
        kill -INT "$pid"
        await_end "$pid"
    fi
    remove_cluster
    rmdir "$folder" 2>/dev/null || true
    ;;
*) usage ;;
esac
