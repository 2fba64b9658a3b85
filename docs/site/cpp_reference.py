"""Markdown pages from the public headers: a page a room, a section a header, an entry a declaration.

The headers are written for this: a comment at the top says what a header is for, `///` before a declaration what it does,
and the members of a class speak for themselves where they stand. So a declaration is shown as it is, without what is
private, under the words before it.
"""
import re

ROOMS = {
    "core": "Errors, random streams, files",
    "formats": "Bytes to plain structs",
    "data": "Images and batches",
    "ops": "Operations",
    "nn": "Networks",
    "flow": "The mapping's loss",
    "distributed": "Several processes",
    "train": "Training",
    "exchange": "Networks in and out",
    "deploy": "A network at work",
    "pipeline": "A whole run",
    "search": "Smaller networks, found",
    "report": "Results as text",
}


def public_headers(source):
    text = (source / "cmake/MfiPublicHeaders.cmake").read_text()
    return re.findall(r"^\s+(\w+/\w+\.h)", text, re.M)


def purpose(text):
    """The comment at the top, as one paragraph a blank comment line apart."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("//"):
            break
        lines.append(line.lstrip("/").strip())
    return "\n".join(lines).strip()


def body(text):
    """What stands in namespace mfi."""
    match = re.search(r"^namespace mfi \{\n(.*)^\}  // namespace mfi", text, re.S | re.M)
    return match.group(1) if match else ""


def without_comments(line):
    return re.sub(r'"(\\.|[^"\\])*"', '""', line).split("//")[0]


def declarations(text):
    """(comment, code) of each: code up to the end of its statement or body."""
    comment, code, depth = [], [], 0
    for line in text.split("\n"):
        if not code and line.startswith("///"):
            comment.append(line[3:].removeprefix(" "))
            continue
        if not code and (not line.strip() or line.startswith("//")):
            comment = []
            continue
        code.append(line)
        bare = without_comments(line)
        depth += bare.count("{") - bare.count("}")
        parentheses = sum(without_comments(each).count("(") - without_comments(each).count(")") for each in code)
        if depth == 0 and parentheses == 0 and bare.rstrip().endswith((";", "}")):
            yield "\n".join(comment), "\n".join(code)
            comment, code = [], []


def without_private(code):
    """A class without what is private."""
    out, hidden = [], False
    for line in code.split("\n"):
        if re.match(r" (private|protected):", line):
            hidden = line.startswith(" private")
        elif re.match(r" public:", line) or line.startswith("}"):
            hidden = False
        if not hidden:
            out.append(line)
    while len(out) > 1 and not out[-2].strip():
        del out[-2]
    return "\n".join(out)


def name_of(code):
    head = re.sub(r"^template <.*?>\n", "", code, flags=re.S)
    head = re.sub(r"\[\[.*?\]\]\s*", "", head)
    for pattern in (r"^(?:class|struct)\s+(\w+)", r"^enum class\s+(\w+)", r"^using\s+(\w+)", r"^using\s+[\w:]+::(\w+);"):
        match = re.match(pattern, head)
        if match:
            return match.group(1)
    match = re.search(r"(operator\S+|\w+)\s*\(", head)
    if match:
        return match.group(1)
    match = re.search(r"(\w+)(?:\[.*?\])?\s*(?:=|\{|;)", head)
    return match.group(1) if match else head.split()[0]


def escaped(line):
    """Prose as it is: no sign of it is Markdown's. `code` and names with () become code."""
    line = re.sub(r"([*\\\[\]])", r"\\\1", line).replace("<", "&lt;").replace(">", "&gt;")
    word = r"mfi(?:/\w+)+\.h|[a-z]+(?:_[a-z0-9]+)+(?:\.h\b|\(\))?|[\w.]+\w\(\)"
    return re.sub(rf"(?<![\w`/.])({word})(?![\w`])", r"`\1`", line)


def prose(comment):
    """A comment as Markdown: lines that are set in are shown as they are, the others are paragraphs."""
    out, block = [], []

    def end_block():
        if block:
            while block and not block[-1].strip():
                block.pop()
            out.extend(["", "```text", *block, "```", ""])
            block.clear()

    for line in comment.split("\n"):
        if line.startswith("  ") or (block and not line.strip()):
            block.append(line[2:])
        else:
            end_block()
            # "x: [N, C], ..." begins a line of its own.
            if re.match(r"[a-zA-Z_]\w*(, \w+)*: |Throws |Returns ", line) and out and out[-1].strip():
                out.append("")
            out.append(escaped(line))
    end_block()
    return "\n".join(out).strip()


def header_section(source, header):
    text = (source / "mfi" / header).read_text()
    out = [f"## mfi/{header}", "", prose(purpose(text)), ""]
    seen = {}
    for comment, code in declarations(body(text)):
        name = name_of(code)
        if code.startswith(("class ", "struct ")) and "{" not in code:
            continue  # declared for another header
        seen[name] = seen.get(name, 0) + 1
        if seen[name] == 1:
            out += [f"### {name}", ""]
        if comment:
            out += [prose(comment), ""]
        out += ["```cpp", without_private(code), "```", ""]
    return "\n".join(out)


def reference_pages(source):
    """(file name, text) of each page."""
    headers = public_headers(source)
    rooms = [room for room in ROOMS if any(header.startswith(room + "/") for header in headers)]
    index = ["# Reference of the public headers", "",
             "Made from the headers themselves. What to begin with, and how they go together: [C++ API](../library.md).",
             "", "| header | what it is for |", "|---|---|"]
    for room in rooms:
        sections = []
        for header in (each for each in headers if each.startswith(room + "/")):
            sections.append(header_section(source, header))
            first = purpose((source / "mfi" / header).read_text()).split("\n\n")[0].replace("\n", " ")
            anchor = re.sub(r"[^\w -]", "", f"mfi/{header}").replace(" ", "-").lower()
            index.append(f"| [`mfi/{header}`]({room}.md#{anchor}) | {escaped(first)} |")
        yield f"{room}.md", f"# {ROOMS[room]}\n\n" + "\n".join(sections)
    yield "index.md", "\n".join(index) + "\n"
