"""Holds the dependencies to .deny.toml where cargo-deny is not installed: check_deny.py CHECKOUT

Licences, banned and duplicate crates, and sources are read from `cargo metadata`; advisories are cargo-deny's alone.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path


def permitted(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met by the allowed licences: AND binds tighter than OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+(?: WITH [^\s()]+)?", expression.replace("/", " OR "))

    def either() -> bool:
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = term() and met
        return met

    def term() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token in allowed
        met = either()
        tokens.pop(0)
        return met

    return either() and not tokens


def linked_packages(checkout: Path, targets: list[str]) -> list[dict]:
    """Every package of the graph that is built for one of the targets."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    command += [f"--filter-platform={target}" for target in targets]
    return json.loads(subprocess.run(command, cwd=checkout, check=True, stdout=subprocess.PIPE).stdout)["packages"]


def faults(packages: list[dict], rules: dict) -> Iterator[str]:
    """Every broken rule, one line each."""
    allowed = set(rules["licenses"]["allow"])
    banned = {entry["crate"]: entry["reason"] for entry in rules["bans"]["deny"]}
    skipped = {entry["crate"] for entry in rules["bans"]["skip"]}
    versions = defaultdict(set)
    for package in packages:
        name = f"{package['name']}@{package['version']}"
        versions[package["name"]].add(name)
        if not permitted(package["license"] or "none", allowed):
            yield f"{name}: its licence is not allowed: {package['license']}"
        if package["name"] in banned:
            yield f"{name} is banned: {banned[package['name']]}"
        if package["source"] and not package["source"].startswith("registry+"):
            yield f"{name} does not come from the registry: {package['source']}"
    for found in versions.values():
        if len(found - skipped) > 1:
            yield f"more than one version, and no reason given for the older: {', '.join(sorted(found - skipped))}"
    for entry in sorted(skipped - set().union(*versions.values())):
        yield f"{entry} is excepted but no longer used: take it out of .deny.toml"
    if len({package["source"] for package in packages if package["source"]}) > 1:
        yield "the dependencies come from more than one registry"


def main() -> int:
    checkout = Path(sys.argv[1])
    rules = tomllib.loads((checkout / ".deny.toml").read_text())
    packages = linked_packages(checkout, rules["graph"]["targets"])
    found = sorted(set(faults(packages, rules)))
    for fault in found:
        print(fault)
    print(f"{len(packages)} packages, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
