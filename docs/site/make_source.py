#!/usr/bin/env python3
"""Gathers the pages of the site: README.md, docs/*.md, the examples, and a reference made from the public headers.

usage: make_source.py OUT

OUT is made anew. mkdocs.yml builds the site from it.
"""
import re
import shutil
import sys
from pathlib import Path

from cpp_reference import reference_pages

SOURCE = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ("classify_picture/classify_picture.cpp", "map_one_stage/map_one_stage.cpp")


def titled(text, titles):
    """[errors.md](errors.md) as a link with the page's title: files mean nothing on a site."""
    return re.sub(r"\[(?:docs/)?([\w-]+)\.md\]\(",
                  lambda link: f"[{titles.get(link.group(1), link.group(1))}](", text)


def front_page(text):
    """README.md lies one folder above the pages that it links to."""
    text = re.sub(r"\]\(docs/", "](", text)
    return text.replace("](examples)", "](library.md)")


def example_page(path):
    title = path.stem.replace("_", " ")
    return f"# Example: {title}\n\n`examples/{path.parent.name}/{path.name}`\n\n```cpp\n{path.read_text()}```\n"


def main():
    out = Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    pages = sorted((SOURCE / "docs").glob("*.md"))
    titles = {page.stem: re.match(r"# (.*)", page.read_text()).group(1) for page in pages}
    (out / "index.md").write_text(titled(front_page((SOURCE / "README.md").read_text()), titles))
    for page in pages:
        text = page.read_text().replace("](../README.md)", "](index.md)")
        text = re.sub(r"\]\(\.\./examples/\w+/(\w+)\.cpp\)", r"](example_\1.md)", text)
        if page.stem == "library":
            text += "\nTheir declarations, with what the headers say of them: [reference](reference/index.md).\n"
        (out / page.name).write_text(titled(text, titles))
    for picture in [*(SOURCE / "docs").glob("*.svg"), *(SOURCE / "docs/results").glob("*.svg")]:
        copy = out / picture.relative_to(SOURCE / "docs")
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(picture, copy)
    for name in EXAMPLES:
        path = SOURCE / "examples" / name
        (out / f"example_{path.stem}.md").write_text(example_page(path))
    for name, text in reference_pages(SOURCE):
        page = out / "reference" / name
        page.parent.mkdir(exist_ok=True)
        page.write_text(text)
    assets = out / "assets"
    assets.mkdir()
    for name in ("style.css", "iframe-worker.js"):
        shutil.copy(SOURCE / "docs/site" / name, assets)


if __name__ == "__main__":
    main()
