"""Files that are there whole or not at all."""
import json
import os
from pathlib import Path


def replace_file(path, text):
    """Who reads the file sees the old one or the new one."""
    part = Path(f"{path}.part")
    part.write_text(text)
    os.replace(part, path)


def write_json(path, value):
    replace_file(path, json.dumps(value, indent=2) + "\n")
