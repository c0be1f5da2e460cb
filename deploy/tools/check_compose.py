"""House rules for the compose file that its schema cannot state: check_compose.py FILE"""

import sys
from collections.abc import Iterator

from ruamel.yaml import YAML

ONE_SHOT = "service_completed_successfully"


def faults(compose: dict) -> Iterator[str]:
    """Every broken rule, one line each."""
    services = compose["services"]
    one_shot = {
        name
        for service in services.values()
        for name, dependency in service.get("depends_on", {}).items()
        if dependency["condition"] == ONE_SHOT
    }
    if "name" not in compose:
        yield "the project has no name: it would be called after the folder"
    for name, service in services.items():
        yield from (f"{name}: {fault}" for fault in service_faults(name, service, one_shot, services))
    used = {mount.partition(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    for volume in sorted(set(compose["volumes"]) ^ used):
        yield f"volume {volume}: declared and used do not match"


def service_faults(name: str, service: dict, one_shot: set[str], services: dict) -> Iterator[str]:
    """The rules that every container keeps."""
    if not service.get("read_only"):
        yield "its root file system is not read-only"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "it keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "it may gain privileges"
    if service.get("privileged") or service.get("network_mode") == "host":
        yield "it is not contained"
    if "stop_grace_period" not in service:
        yield "it has no stop_grace_period"
    tag = service.get("image", "").partition(":")[2]
    if not tag or tag == "latest":
        yield "its image names no version"
    for port in service.get("ports", []):
        if not str(port).startswith("127.0.0.1:"):
            yield f"port {port} is open to the network"
    if name in one_shot and service.get("restart") != "no":
        yield "it ends by itself and must not be restarted"
    for key, value in (service.get("environment") or {}).items():
        if value and any(word in key for word in ("PASSWORD", "API_KEY", "SECRET")) and not key.endswith("_FILE"):
            yield f"{key} is a secret in the file"
    for dependency, terms in service.get("depends_on", {}).items():
        if dependency not in services:
            yield f"it depends on {dependency}, which is not there"
        elif not set(service.get("profiles", [])) <= set(services[dependency].get("profiles", service.get("profiles", []))):
            yield f"it depends on {dependency}, which its profile does not start"
        elif terms["condition"] not in (ONE_SHOT, "service_healthy"):
            yield f"it does not wait for {dependency}"


def main() -> int:
    with open(sys.argv[1], encoding="utf-8") as file:
        found = list(faults(YAML(typ="safe").load(file)))
    for fault in found:
        print(f"{sys.argv[1]}: {fault}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
