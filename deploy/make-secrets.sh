#!/usr/bin/env bash
# Makes the two secrets of the compose profile `mesh` in deploy/secrets/, once: a random database password, and the
# database's address with it. Existing ones stay, because the database keeps the password it was made with; when one of
# the two is missing, it is made from the other.
set -euo pipefail

folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets
password_file=$folder/postgres-password
url_file=$folder/database-url
if [ -s "$password_file" ] && [ -s "$url_file" ]; then
    echo "deploy/secrets/ is there already"
    exit 0
fi
# Nobody but the owner may enter; inside the containers other users read the files.
mkdir -p "$folder"
chmod 700 "$folder"
umask 022

# Fails unless a password looks the same inside an address.
plain() {
    case $1 in
        '' | *[!A-Za-z0-9._~-]*)
            echo "deploy/secrets/$2: the password is empty or has characters that an address cannot hold as they are;" \
                "write deploy/secrets/$3 by hand" >&2
            exit 1
            ;;
    esac
}

if [ -s "$url_file" ]; then
    url=$(cat "$url_file")
    password=${url#*://*:}
    password=${password%%@*}
    plain "$password" database-url postgres-password
    printf '%s' "$password" >"$password_file"
    echo "made deploy/secrets/postgres-password from deploy/secrets/database-url"
    exit 0
fi
if [ ! -s "$password_file" ]; then
    password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s' "$password" >"$password_file"
    echo "made deploy/secrets/postgres-password"
fi
password=$(cat "$password_file")
plain "$password" postgres-password database-url
printf 'postgres://copydesk:%s@postgres:5432/copydesk' "$password" >"$url_file"
echo "made deploy/secrets/database-url"
