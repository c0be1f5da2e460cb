"""Holds the built binary against the commands and settings that compose file and Dockerfile give it.

check_container.py BINARY CHECKOUT
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML


def lines_of(dockerfile: str) -> dict[str, list[list[str]]]:
    """The JSON-form instructions of a Dockerfile by keyword, continued lines joined."""
    joined = re.sub(r"\\\n\s*", " ", dockerfile)
    found: dict[str, list[list[str]]] = {}
    for keyword, words in re.findall(r"^(?:HEALTHCHECK .*)?\b(CMD|ENTRYPOINT) (\[.*\])$", joined, re.MULTILINE):
        found.setdefault(keyword, []).append(json.loads(words))
    return found


def run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def faults(binary: str, checkout: Path, folder: Path) -> Iterator[str]:
    """Every command that the binary does not take, every setting that it does not know."""
    base = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder)}
    image = lines_of((checkout / "deploy" / "Dockerfile").read_text())
    health, start = image["CMD"]
    if image["ENTRYPOINT"] != [["copydesk"]] or health[0] != "copydesk":
        yield "Dockerfile: the image does not start copydesk"
    commands = {"Dockerfile CMD": start, "Dockerfile HEALTHCHECK": health[1:]}
    url = folder / "database-url"
    url.write_text("postgres://copydesk:x@127.0.0.1:1/copydesk")
    services = YAML(typ="safe").load((checkout / "docker-compose.yml").read_text())["services"]
    for name, service in services.items():
        if not service["image"].startswith("copydesk:"):
            continue
        commands[name] = service.get("command", start)
        settings = {key: str(value) for key, value in (service.get("environment") or {}).items() if value is not None}
        if "COPYDESK__DATABASE__URL_FILE" in settings:
            settings["COPYDESK__DATABASE__URL_FILE"] = str(url)
        done = run([binary, "config", "check", "--data", str(folder / "data")], {**base, **settings})
        if done.returncode != 0:
            yield f"{name}: its settings are refused: {done.stdout}{done.stderr}"
    # With --help the words before it are parsed and nothing is started.
    for name, command in commands.items():
        done = run([binary, *command, "--help"], base)
        if done.returncode != 0:
            yield f"{name}: its command is refused: {done.stderr}"
    misspelt = {**base, "COPYDESK__PEERS__NO_SUCH_SERVICE": "http://127.0.0.1:1"}
    if run([binary, "config", "check", "--data", str(folder / "data")], misspelt).returncode == 0:
        yield "a misspelt setting passes `config check`: this check proves nothing"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = list(faults(sys.argv[1], Path(sys.argv[2]), Path(folder)))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
