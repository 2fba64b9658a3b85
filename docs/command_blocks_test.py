#!/usr/bin/env python3
"""Runs the commands that README.md and docs/*.md show.

usage: command_blocks_test.py PROGRAM     PROGRAM: the built mfi

Every line of an indented or fenced block that is a command is taken, in its page's order. In a scratch folder, where small
stand-ins lie for the files that the pages speak of (models, CIFAR archives, pictures), `mfi` commands are run, made short
by more flags (TINY). What would need minutes, a network, a GPU or a cluster is read instead: its command, flags and values
must be known, its recipe must be there and its --set must suit it. What is not even read stands in EXCEPTIONS, with the
reason.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
DATA = SOURCE / "mfi"

# Lines that are no command that can be looked at, and why.
EXCEPTIONS = {
    r"^apt-get ": "changes the system",
    r"^build/fuzz/": "a program that only make fuzz builds",
    r"^(cmake --build|build/release/bin/packing_bench).*(packing_bench|repetitions)": "a benchmark, which make build leaves out",
    r"^cp small fuzz/": "of a finding that there is not",
    r"^sh jobs\.sh$": "submits Slurm jobs; jobs_test runs such a script with an sbatch of its own",
    r"^RANK=0 .*mfi run \.\.\.": "is cut short in the text",
    r"^import hybrid$": "a line of Python",
    r"^find_package|^target_link_libraries": "lines of CMake; examples_test builds with them",
}
# Commands that are read and not run, and why.
ONLY_READ = {
    r"mfi data get ": "downloads 160 MB",
    r"mfi run .*--jobs ": "jobs_test runs steps side by side",
    r"/shared/": "the paths of a cluster",
    r"mfi run recipes/cifar10-resnet34-w64.toml": "too wide for a test, even when short",
    r"cifar-png": "60,000 pictures that a script with Pillow would have to write first",
}
# What a line begins with when it is a command.
COMMAND = re.compile(
    r"^(mfi|build/release/bin/mfi|make|cmake|python3|torchrun|srun|mpirun|sh|source|export|apt-get|cp|cd|git"
    r"|scripts/\S+|bench/\S+|build/fuzz/\S+|[A-Z_]+=\S+ .*mfi)(\s|$)")
STEPS = ("teacher", "map", "meta", "incubate", "hybrid")
TINY = ["--set", "data.limit=64", "--set", "runtime.threads=1", "--set", "flow.hidden=[4]"] + [
    word for step in STEPS for key in ("epochs=1", "batch_size=32", "warmup_epochs=0") for word in ("--set", f"{step}.{key}")]
TINY_TEACHER = ["--set", "network.width=4"]

RECIPE = """name = "tiny"
[data]
dataset = "cifar-10"
[network]
arch = "resnet20"
"""


def blocks(text):
    """Lines of indented and fenced blocks; those of fences of another language than a shell's are left out."""
    text = re.sub(r"\\\n\s*", " ", text)
    fence = None
    for line in text.split("\n"):
        if line.startswith("```"):
            fence = line[3:].strip() if fence is None else None
        elif fence is not None:
            if fence in ("", "sh", "bash", "console"):
                yield line.strip()
        elif line.startswith("    "):
            yield line.strip()


def commands(path):
    for line in blocks(path.read_text()):
        if COMMAND.match(line):
            yield re.sub(r"\s+# .*$", "", line)


class Table:
    """The commands that the program has, as it says itself."""

    def __init__(self, program):
        table = json.loads(subprocess.run([program, "completion", "json"], capture_output=True, check=True).stdout)
        self.commands = {each["command"]: each for each in table["commands"]}

    def read(self, words):
        """Problems of a command line that begins with mfi; its values by flag and argument."""
        spoken, rest = "mfi", words[1:]
        while rest and f"{spoken} {rest[0]}" in self.commands:
            spoken += f" {rest.pop(0)}"
        options = self.commands[spoken]["options"]
        flags = {flag: option for option in options for flag in option.get("flags", ())}
        arguments = [option for option in options if "flags" not in option]
        values, problems = {}, []
        if any(name.startswith(spoken + " ") for name in self.commands):
            problems.append(f"{spoken} wants one of its commands")

        def take(option, value):
            values.setdefault(option["name"], []).append(value)
            if "choices" in option and value not in option["choices"]:
                problems.append(f"{option['name']} is {value}")

        while rest:
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if not word.startswith("-") or word == "-":
                if not arguments:
                    problems.append(f"{word} is one argument too many")
                    continue
                take(arguments[0], word)
                if not arguments[0]["repeats"]:
                    arguments.pop(0)
            elif name not in flags:
                problems.append(f"{name} is no flag of {spoken}")
            elif "value" in flags[name]:
                if not equals and not rest:
                    problems.append(f"{name} has no value")
                else:
                    take(flags[name], value if equals else rest.pop(0))
            else:
                values[name] = []
        problems += [f"{option['name']} is missing" for option in options
                     if option["required"] and option["name"] not in values]
        return spoken, values, problems


# Runs that the pages speak of.
STAND_INS = ("cifar10-resnet34-w16", "my-run", "cifar10-resnet56", "one", "another")


class Scratch:
    """The folder that the commands are run in."""

    def __init__(self, program, root):
        self.program, self.folder, self.home = program, root / "project", root / "home"
        self.folder.mkdir()
        (root / "bin").mkdir()
        (root / "bin/mfi").symlink_to(program)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("MFI_")} | {
            "HOME": str(self.home), "PATH": f"{root / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "2",
            "XDG_CACHE_HOME": str(root / "cache")}
        for name in ("recipes", "scripts", "bench", "docs"):
            (self.folder / name).symlink_to(SOURCE / name)
        (self.folder / "build/release/bin").mkdir(parents=True)
        (self.folder / "build/release/bin/mfi").symlink_to(program)
        self.write_data()
        self.write_pictures()
        self.write_models()

    def path(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_data(self):
        """CIFAR's files with all their records: black images, whose labels go round."""
        labels, folder = 10, self.home / "data/cifar-10-batches-bin"
        folder.mkdir(parents=True)
        record = 1 + 3 * 32 * 32
        data = bytearray(10_000 * record)
        for i in range(10_000):
            data[i * record] = i % labels
            data[i * record + 1 + i % 3072] = 255  # no two are the same
        for name in [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]:
            (folder / name).write_bytes(data)
        (folder / "batches.meta.txt").write_text(
            "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n")

    def write_pictures(self):
        pictures = DATA / "formats/testdata"
        for folder in ("flowers/rose", "flowers/tulip"):
            # One of each by its own bytes: the same picture in two classes is a mistake that mfi names.
            for i, name in enumerate(["photo.jpg", "photo.png", "rgb.png", "cmyk.jpg", "grey.jpg", "no-subsampling.jpg",
                                      "progressive.jpg", "palette.png", "turned-1.jpg", "turned-2.jpg", "turned-3.jpg",
                                      "turned-1.png"]):
                if (i % 2 == 0) == folder.endswith("rose"):
                    shutil.copy(pictures / name, self.path(f"{folder}/{name}"))
        for name in ("photos/a.jpg", "photos/b.jpg", "new/a.jpg", "more-pictures/a.jpg", "more-pictures/holiday/b.jpg"):
            shutil.copy(pictures / "photo.jpg", self.path(name))

    def write_models(self):
        foreign = DATA / "exchange/testdata"
        shutil.copy(foreign / "cifar-option-a-end.pt", self.path("resnet56-cifar10.pth"))
        shutil.copy(foreign / "cifar-option-a-end.pt", self.path("files/resnet56-legacy.th"))
        shutil.copy(foreign / "torchvision-resnet18.pth", self.path("resnet18-imagenet.pth"))
        self.path("recipe.toml").write_text(RECIPE)
        # The tutorial's own recipe.
        toml = re.search(r"`my.toml`:\n\n```toml\n(.*?)```", (SOURCE / "docs/tutorial.md").read_text(), re.S)
        self.path("my.toml").write_text(toml.group(1))
        ended = self.run(["mfi", "run", "recipe.toml", "--data", "~/data", "--out", "runs/NAME", "--progress", "none"]
                         + TINY_TEACHER + TINY)
        if ended.returncode:
            sys.exit(f"the stand-in could not be made: {ended.stderr}")
        for name in STAND_INS:
            shutil.copytree(self.path("runs/NAME"), self.path(f"runs/{name}-standin"))

    def put_stand_ins(self):
        """The runs that the pages speak of, as the real commands would have left them. One that a page has searched in stays:
        its teacher belongs to what was found."""
        for name in STAND_INS:
            target, source = self.path(f"runs/{name}"), self.path(f"runs/{name}-standin")
            if not (target / "search").exists():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)

    def run(self, words):
        line = " ".join(word if word.startswith("~") or "*" in word else shlex.quote(word) for word in words)
        return subprocess.run(["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=300)


def shortened(spoken, words, values):
    """The command with what makes it take a second."""
    if spoken == "mfi run":
        words = words + TINY + ["--progress", "none"]
        if not any(setting.startswith("network.model=") for setting in values.get("--set", ())):
            words += TINY_TEACHER
        # Whole runs on the sample and on pictures; CIFAR's 10,000 test images after each step would take long.
        if "--only" not in values and "~/data" in words:
            words += ["--only", "teacher"]
        if "--yes" not in values:
            words += ["--yes"]  # the page's commands share folders
        return words + ["--no-latency", "--force", "teacher"]
    if spoken == "mfi search":
        words = words + TINY + TINY_TEACHER + ["--progress", "none", "--yes"]
        for setting in ("finalists=1", "images=20", "share=1", "flow_percent=[10, 20, 30]"):
            words += ["--set", "search." + setting]
        return words
    if spoken == "mfi plan" and "--no-probe" not in values:
        return words + ["--no-probe"]
    if spoken == "mfi bench":
        out = list(words)
        for flag, small in (("--width", "4"), ("--seconds", "0.01"), ("--batch", "4"), ("--arch", "resnet20")):
            if flag in out:
                out[out.index(flag) + 1] = small
            else:
                out += [flag, small]
        return out
    if spoken == "mfi verify":
        return words + ["--images", "10"]
    return words


class Checker:
    def __init__(self, program, scratch):
        self.table, self.scratch = Table(program), scratch
        self.counts = {"run": 0, "read": 0, "left out": 0}
        self.failures, self.known = [], set()

    def fail(self, page, line, problem):
        self.failures.append(f"{page}: {line}\n    {problem}")

    def check(self, page, line):
        if any(re.search(pattern, line) for pattern in EXCEPTIONS):
            self.counts["left out"] += 1
            return
        if page == "docs/commands.md" and line in [each["usage"] for each in self.table.commands.values()]:
            self.counts["read"] += 1
            return
        if re.match(r"source <\(", line):
            self.run(page, line, ["bash", "-c", line])
            return
        words = shlex.split(line)
        if words[0] == "make":
            self.check_make(page, line, words)
        elif words[0] == "export":
            self.counts["read"] += 1
            name, _, value = words[1].partition("=")
            self.scratch.environment[name] = value.replace("~", str(self.scratch.home), 1)  # for the rest of the page
            if f"`{name}`" not in (SOURCE / "docs/commands.md").read_text():
                self.fail(page, line, f"{name} is not in docs/commands.md")
        elif words[0].startswith("OMP_"):
            name, _, value = words[0].partition("=")
            self.scratch.environment[name] = value  # for the rest of the page, which it does not change
            self.check(page, line.partition(" ")[2])
        elif words[0] in ("torchrun", "srun", "mpirun"):
            self.check_mfi(page, line, words[words.index("mfi"):], only_read=True)
        elif words[0].endswith("mfi"):
            self.check_mfi(page, line, words, only_read=any(re.search(pattern, line) for pattern in ONLY_READ))
        elif words[0] == "python3" or words[0].startswith(("scripts/", "bench/")):
            self.check_script(page, line, words)
        else:
            self.fail(page, line, "no rule says how this is run; see COMMAND and EXCEPTIONS")

    def check_mfi(self, page, line, words, only_read):
        words = ["mfi"] + ["runs/NAME/hybrid/model.safetensors" if word == "MODEL" else word for word in words[1:]]
        spoken, values, problems = self.table.read(list(words))
        for problem in problems:
            self.fail(page, line, problem)
        if problems:
            return
        if not only_read:
            self.run(page, line, shortened(spoken, words, values))
            return
        self.counts["read"] += 1
        if "RECIPE" in values:  # its keys, values and steps
            plan = ["mfi", "plan", values["RECIPE"][0], "--no-probe"]
            for setting in values.get("--set", ()):
                plan += ["--set", setting]
            ended = self.scratch.run(plan)
            if ended.returncode:
                self.fail(page, line, ended.stderr.strip())
            for step in values.get("--only", []) + values.get("--force", []):
                if not re.search(rf"(^|\s){step}(\s|$)", ended.stdout):
                    self.fail(page, line, f"{step} is no step of this recipe")

    def run(self, page, line, words):
        if tuple(words) in self.known:  # pages repeat each other
            return
        self.scratch.put_stand_ins()
        start = time.monotonic()
        ended = self.scratch.run(words)
        self.known.add(tuple(words))
        self.counts["run"] += 1
        print(f"  {time.monotonic() - start:5.1f} s  {page}: {line}", flush=True)
        lacks = ended.returncode == 66 and "give a Python" in ended.stderr  # mfi verify, where Python has no onnxruntime
        # A search that found no network as fast as was asked for: of such tiny ones none may be.
        missed = ended.returncode == 80 and any(word.startswith("latency=") for word in words)
        if ended.returncode and not lacks and not missed:
            self.fail(page, line, f"exit code {ended.returncode}: {ended.stderr.strip()}\n    as {shlex.join(words)}")

    def check_make(self, page, line, words):
        self.counts["read"] += 1
        makefile = (SOURCE / "Makefile").read_text()
        for word in words[1:]:
            name, equals, _ = word.partition("=")
            pattern = rf"^{name} \?=" if equals else rf"^{name}:.*##"
            if not re.search(pattern, makefile, re.M):
                self.fail(page, line, f"the Makefile has no {name}")

    def check_script(self, page, line, words):
        self.counts["read"] += 1
        words = words[1:] if words[0] == "python3" else words
        script = SOURCE / words[0]
        if not script.is_file() or not os.access(script, os.X_OK):
            self.fail(page, line, f"{words[0]} is no program")
            return
        text = script.read_text()
        for word in words[1:]:
            if word.startswith("--") and word.partition("=")[0] not in text:
                self.fail(page, line, f"{words[0]} does not know {word}")


def check_usage_lines(checker):
    """Each section of docs/commands.md begins with the command's usage line."""
    text = (SOURCE / "docs/commands.md").read_text()
    for name, command in checker.table.commands.items():
        if name != "mfi" and f"\n## {name}\n\n    {command['usage']}\n" not in text:
            checker.fail("docs/commands.md", f"## {name}", f"does not begin with its usage: {command['usage']}")


def check_recipes(checker):
    """Recipes in the text are recipes."""
    for path in PAGES:
        for i, toml in enumerate(re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.S | re.M)):
            file = checker.scratch.path(f"{path.stem}-{i}.toml")  # where recipes/ is, which it may extend
            file.write_text(toml)
            ended = checker.scratch.run(["mfi", "plan", str(file), "--no-probe"])
            if ended.returncode:
                checker.fail(str(path), "a TOML block", ended.stderr.strip())


PAGES = [SOURCE / "README.md"] + sorted((SOURCE / "docs").glob("*.md"))


def main():
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="mfi-docs-") as folder:
        scratch = Scratch(program, Path(folder))
        checker = Checker(program, scratch)
        environment = dict(scratch.environment)
        for path in PAGES:
            scratch.environment = dict(environment)
            for line in commands(path):
                checker.check(str(path.relative_to(SOURCE)), line)
        check_usage_lines(checker)
        check_recipes(checker)
    print(", ".join(f"{count} {what}" for what, count in checker.counts.items()))
    for failure in checker.failures:
        print(f"FAILED {failure}")
    if checker.counts["run"] < 25:
        print("FAILED hardly any command was found: has the pages' layout changed?")
        return 1
    return 1 if checker.failures else 0


if __name__ == "__main__":
    sys.exit(main())
