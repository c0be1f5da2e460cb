"""Generates the Python client from proto/ into gen/ beside this file (or the folder that is named)."""

import shutil
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[2] / "proto"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"


def main() -> int:
    """Writes messages, stubs and type hints anew; a file whose contract is gone goes too."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "gen"
    shutil.rmtree(out / "copydesk", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    contracts = sorted(str(path.relative_to(PROTO)) for path in (PROTO / "copydesk").rglob("*.proto"))
    flags = [f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python")]
    return protoc.main(["protoc", f"-I{PROTO}", f"-I{WELL_KNOWN}", *flags, *contracts])


if __name__ == "__main__":
    sys.exit(main())
