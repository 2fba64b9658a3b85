#!/usr/bin/env python3
"""What the site is made of is whole: pages, links, navigation, the reference of the headers, the table of events. Needs no mkdocs."""
import re
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "docs/site"))
import cpp_reference  # noqa: E402
import make_source  # noqa: E402

failures = []


def expect(condition, problem):
    if not condition:
        failures.append(problem)


def without_code(text):
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    text = re.sub(r"^    .*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    """Of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def check_links(pages, suffix=""):
    for path, text in pages.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
            if re.match(r"\w+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            expect(file.exists(), f"{path}{suffix}: {target} leads nowhere")
            if anchor and file.suffix == ".md":
                expect(anchor in anchors(file.read_text()), f"{path}{suffix}: {target} has no such heading")


def check_repository_links():
    check_links({path: path.read_text() for path in [SOURCE / "README.md", *(SOURCE / "docs").glob("*.md")]})


def check_site_source(out):
    pages = {path.resolve(): path.read_text() for path in out.rglob("*.md")}
    check_links(pages, " (of the site)")
    navigation = set(re.findall(r"([\w/-]+\.md)$", (SOURCE / "mkdocs.yml").read_text(), re.M))
    there = {str(path.relative_to(out.resolve())) for path in pages}
    for name in sorted(there - navigation):
        expect(False, f"mkdocs.yml: {name} is nowhere in nav")
    for name in sorted(navigation - there):
        expect(False, f"mkdocs.yml: there is no {name}")
    for path, text in pages.items():
        for match in re.findall(r"""(?:src|href)=["']?https?:\S+""", text):
            expect(False, f"{path}: loads {match}")


def check_reference(out):
    """Every header has a section, and every line of it that is no comment and not private is shown."""
    for header in cpp_reference.public_headers(SOURCE):
        page = (out / f"reference/{header.split('/')[0]}.md").read_text()
        expect(f"\n## mfi/{header}\n" in page, f"{header} has no section")
        text = cpp_reference.body((SOURCE / "mfi" / header).read_text())
        # That one only includes LibTorch.
        expect(text or header == "core/torch.h", f"{header}: nothing in namespace mfi was found")
        hidden = False
        for line in text.split("\n"):
            if re.match(r" private:", line):
                hidden = True
            elif re.match(r" (public|protected):|\}", line):
                hidden = False
            declared_only = re.match(r"(class|struct) \w+;", line)
            if line.strip() and not line.startswith("//") and not hidden and not declared_only:
                expect(line in page.split("\n"), f"{header}: not in the reference: {line}")
            if line.startswith("///"):
                words = re.findall(r"[A-Za-z]{4,}", line)
                expect(all(word in page for word in words), f"{header}: not in the reference: {line}")


def check_events():
    """Every event that is written has a row, and that of a failure says who reports one, and what becomes of the program."""
    text = (SOURCE / "docs/commands.md").read_text()
    written = (SOURCE / "mfi/pipeline/events.cpp").read_text()
    rows = {name: next(iter(re.findall(rf"^\| `{name}` \| .*$", text, re.M)), "")
            for name in set(re.findall(r'\{"event", "(\w+)"\}', written))}
    expect(rows, "mfi/pipeline/events.cpp: no event was found")
    for name, row in rows.items():
        expect(row, f"docs/commands.md: the event {name} has no row")
    for source, words in (("mfi/pipeline/side_by_side.cpp", ("--jobs",)), ("mfi/search/search_run.cpp", ("mfi search", "with 0"))):
        if "observer_.on_step_failed(" in (SOURCE / source).read_text():
            for word in words:
                expect(word in rows["failed"], f"docs/commands.md: the row of `failed` does not say '{word}', for {source}")
        else:
            expect(False, f"{source}: reports no failure any more; say so in docs/commands.md and here")


def check_requirements():
    for line in (SOURCE / "docs/site/requirements.txt").read_text().split("\n"):
        expect(not line or line.startswith("#") or re.match(r"[\w.-]+==[\w.]+$", line), f"requirements.txt: {line} is not pinned")


def main():
    with tempfile.TemporaryDirectory(prefix="mfi-site-") as folder:
        out = Path(folder) / "source"
        sys.argv = ["make_source.py", str(out)]
        make_source.main()
        check_repository_links()
        check_site_source(out)
        check_reference(out)
    check_events()
    check_requirements()
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
