"""What a study is made of: calls of mfi and of peers.py, each with the folder that shows how far it is."""
import math
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import chosen
from epochs import epochs_after_teacher, hybrid_record
from errors import StudyError
from figures import KIND, peer_step
from run_files import differences, flat, has_flow_stage, read_json, read_recipe, read_toml, step_records, wanted_settings

SOURCE = Path(__file__).resolve().parent.parent.parent
DONE, BEGUN, MISSING = "done", "begun", "missing"
# Sections that say nothing of how the teacher is trained.
NOT_THE_TEACHERS = tuple(f"{section}." for section in ("search", "flow", "pipeline", "map", "objective", "meta", "incubate",
                                                       "hybrid", "controls"))
CONTROL_STEPS = {"no_mapping": "no-mapping", "teacher_longer": "teacher-longer", "regression": "regression-hybrid",
                 "smaller_resnet": "smaller-resnet", "distilled_resnet": "distilled-resnet"}
CHOSEN_STEPS = ("map", "hybrid", "no-mapping", "regression-hybrid")  # of the network that a search chose
ROUNDING = 1e-6  # of a mean loss over the test images, whose sum other threads may take in another order


@dataclass(frozen=True)
class Options:
    """What all calls have in common."""
    mfi: str
    data: str | None = None
    threads: int | None = None
    yes: bool = False

    def of_mfi(self):
        return ((["--data", self.data] if self.data else []) +
                (["--set", f"runtime.threads={self.threads}"] if self.threads else []) +
                (["--yes"] if self.yes else []))


@dataclass(frozen=True)
class State:
    word: str  # DONE, BEGUN or MISSING
    why: str = ""  # what is not done yet, or not with these settings

    def __str__(self):
        return self.word + (f" ({self.why})" if self.why else "")


def same_answers(one, other):
    """Whether two networks gave the same answers to the test images, each by its accuracy and mean loss."""
    return one[0] == other[0] and math.isclose(one[1], other[1], rel_tol=ROUNDING)


def network_difference(one, chosen):
    """How a network is another one than what a search chose: "420362 parameters, 34084608 MACs, expected ..."; "" where both have
    as many of each."""
    sizes = [(each["parameters"], each["macs"]) for each in (one, chosen)]
    if sizes[0] == sizes[1]:
        return ""
    return "{} parameters, {} MACs, expected {} and {}".format(*sizes[0], *sizes[1])


def shown_path(path):
    """As one would type it from here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


@dataclass
class RunTask:
    """`mfi run`: some steps of a recipe."""
    name: str
    folder: Path
    recipe: Path
    words: tuple = ()  # of --set, but for those of the controls
    method: tuple = ()  # steps that are no controls
    controls: tuple | None = None  # None: the recipe's
    only: str = ""  # this step alone
    at: dict = field(default_factory=dict)  # where it stands in its study's table
    seed: int = 0
    needs: str = ""  # the study that makes its recipe
    search: "SearchTask | None" = None  # of that study, what makes it
    alone = False  # other programs may be at work beside it

    @property
    def after(self):
        """Names of all that its inputs are made by."""
        return (self.search.name, *self.search.after) if self.search else ()

    @property
    def settings(self):
        """All controls are named: the recipe may have some."""
        if self.controls is None:
            return self.words
        return self.words + tuple(f"controls.{control}={'true' if control in self._wanted_controls() else 'false'}"
                                  for control in CONTROL_STEPS)

    @property
    def steps(self):
        """What results.json is to hold in the end."""
        return self.method + tuple(CONTROL_STEPS[control] for control in self._wanted_controls())

    def other_than_chosen(self, step, network, chosen):
        """How a step's network is another one than what its search chose, as network_difference says it; "" where it is that one,
        and where it need not be: the settings change what was chosen, or a ResNet of its own is trained. A recipe whose file was
        changed by hand, or written by another version, may make another network than it says."""
        changed = any(word.startswith(("flow.", "pipeline.")) for word in self.words)
        if not self.search or changed or step not in CHOSEN_STEPS:
            return ""
        return network_difference(network, chosen)

    def places(self):
        """{step: its run but for the seed, and itself}: where its figures stand."""
        return {step: (self.name.removesuffix(f"-s{self.seed}"), step) for step in self.steps}

    def set_words(self):
        """What tells it from other runs of its recipe but for the seed."""
        return [word for word in self.words if not word.startswith("seed=")]

    def _wanted_controls(self):
        """Without a flow stage, mapping by regression is the mapping itself. Read off the recipe each time: a search that is made
        before this may choose another network."""
        flow = has_flow_stage(read_recipe(self.recipe))
        return tuple(control for control in CONTROL_STEPS if control in (self.controls or ())
                     and (flow or control != "regression"))

    def commands(self, options):
        words = [options.mfi, "run", shown_path(self.recipe)] + (["--only", self.only] if self.only else [])
        for setting in self.settings:
            words += ["--set", setting]
        return [words + options.of_mfi() + ["--out", shown_path(self.folder)]]

    def state(self):
        records, _ = step_records(self.folder)
        missing = [step for step in self.steps if step not in records]
        if len(missing) == len(self.steps):
            return State(BEGUN if (self.folder / self.only).is_dir() else MISSING)
        why = self.why_not()
        if why:
            return State(BEGUN, why)
        return State(BEGUN, f"not yet: {', '.join(missing)}") if missing else State(DONE)

    def hybrid_record(self):
        """Of the network whose size peers are pruned to, or None: they wait neither for its fine-tuning nor for the controls."""
        records, _ = step_records(self.folder)
        if "teacher" not in records or self.why_not():
            return None
        return hybrid_record(read_toml(self.folder / "recipe.toml"), records)

    def why_not(self):
        """Why what is there does not count; "" where it does."""
        search = self.search.state() if self.search else State(DONE)
        if search.word != DONE:
            return f"{self.search.name} is {search}"
        other = self._other_settings()
        if other:
            return f"with other settings: {', '.join(other)}"
        if self.search and not self._has_the_teacher():
            return "built on another teacher"
        if not self.search:
            return ""
        chosen = self.search.kept()["chosen"]
        found = ((step, self.other_than_chosen(step, record, chosen)) for step, record in step_records(self.folder)[0].items())
        return next((f"{step} is not the network that was chosen: {what}" for step, what in found if what), "")

    def _other_settings(self):
        """Keys in which the run's recipe is not what this study asks for."""
        base, own = read_recipe(self.recipe), read_toml(self.folder / "recipe.toml")
        if base is None or own is None:
            return []
        return differences(wanted_settings(base, self.settings), flat(own),
                           NOT_THE_TEACHERS if self.only == "teacher" else ("search.",))

    def _has_the_teacher(self):
        """Its model file says its run's seed, so that another seed's file is another one though the weights are the same. What
        it answered to the test images tells."""
        own, teacher = step_records(self.folder)[0].get("teacher"), self.search.teacher.record()
        if not own or not teacher:
            return False
        return own["model_sha256"] == teacher["model_sha256"] or same_answers(
            *((record["test_top1_percent"], record["test_loss"]) for record in (own, teacher)))

    def record(self):
        """Of the one step that it is made for, or None."""
        return step_records(self.folder)[0].get(self.only)

    def require_inputs(self):
        makes_it = f"; the study '{self.needs}' makes it" if self.needs else ""
        if not self.recipe.is_file():
            raise StudyError(f"{self.name}: there is no {shown_path(self.recipe)}{makes_it}")
        search = self.search.state() if self.search else State(DONE)
        if search.word != DONE:
            raise StudyError(f"{self.name}: {self.search.name} is {search}{makes_it}")

    def finish(self):
        pass


@dataclass
class SearchTask:
    """`mfi search` for one size; what it chooses is kept apart, as the next search in the same folder chooses anew."""
    name: str
    folder: Path
    recipe: Path
    size: str
    targets: tuple
    teacher: RunTask  # in the same folder
    words: tuple = ()  # of --set: what is not to be tried
    alone = True  # it measures latencies

    @property
    def after(self):
        return (self.teacher.name,)

    @property
    def chosen_recipe(self):
        return self.folder / "sizes" / f"{self.size}.toml"

    def commands(self, options):
        words = [options.mfi, "search", shown_path(self.recipe)]
        for target in self.targets:
            words += ["--target", target]
        for setting in self.words:
            words += ["--set", setting]
        return [words + options.of_mfi() + ["--out", shown_path(self.folder)],
                [shown_path(Path(chosen.__file__)), shown_path(self.folder), self.size]]

    def kept(self):
        return read_json(self.folder / "sizes" / f"{self.size}.json")

    def asked_otherwise(self, kept):
        """How what was kept of a search was asked for in another way; "" where it was not."""
        if kept["target"] != " ".join(self.targets):
            return f"for another target: {kept['target']}"
        # One that was kept before this was noted, or by hand, is told by its recipe alone.
        if kept.get("asked", list(self.words)) != list(self.words):
            return f"asked with other settings: {' '.join(kept['asked']) or 'none'}"
        return ""

    def state(self):
        kept, recipe = self.kept(), read_recipe(self.chosen_recipe)
        if kept is None or recipe is None:
            return State(MISSING)
        other = self.asked_otherwise(kept)
        if other:
            return State(BEGUN, other)
        other = differences(wanted_settings(read_recipe(self.recipe), self.words), flat(recipe), ("flow.", "pipeline."))
        if other:
            return State(BEGUN, f"with other settings: {', '.join(other)}")
        teacher = self.teacher.state()
        if teacher.word != DONE:
            return State(BEGUN, f"its teacher is {teacher}")
        # One that was kept before this was noted is taken as it is.
        if kept.get("teacher_sha256", self.teacher.record()["model_sha256"]) != self.teacher.record()["model_sha256"]:
            return State(BEGUN, "with another teacher")
        return State(DONE)

    def require_inputs(self):
        pass  # mfi trains the teacher where it is missing

    def finish(self):
        chosen.keep_chosen(self.folder, self.size, list(self.words))


@dataclass
class PeersTask:
    """bench/peers/peers.py on a run, for as many epochs as its hybrid had."""
    name: str
    run: RunTask
    methods: tuple
    matches: tuple
    scopes: tuple
    recipe: str
    precision: str  # of the peers' training
    needs: str  # the study that makes its run
    alone = False

    @property
    def after(self):
        return (self.run.name, *self.run.after)

    @property
    def folder(self):
        return self.run.folder / "peers"

    def commands(self, options):
        words = [shown_path(SOURCE / "bench/peers/run.sh"), options.mfi, shown_path(self.run.folder)]
        words += ["--data", options.data] if options.data else []
        words += ["--methods", ",".join(self.methods)]
        words += ["--match", _one_or_both(self.matches), "--scope", _one_or_both(self.scopes), "--recipe", self.recipe]
        words += ["--precision", self.precision, "--seeds", str(self.run.seed)]
        return [words + (["--threads", str(options.threads)] if options.threads else [])]

    def peers(self):
        """{name: what its file holds} of those that are there and were made of just this run's teacher, for its hybrid, with
        its settings and its images: a folder may hold a trial on few of them."""
        hybrid = self.run.hybrid_record()
        if not hybrid:
            return {}
        records, results = step_records(self.run.folder)
        recipe = read_toml(self.run.folder / "recipe.toml")
        limits = {"params": hybrid["parameters"], "macs": hybrid["macs"]}
        wanted = {"teacher_sha256": records["teacher"]["model_sha256"], "epochs": epochs_after_teacher(recipe),
                  "precision": self.precision, "data_fingerprint": results["data_fingerprint"],
                  "training_images": results["training_images"], "validation": recipe["data"].get("validation", 0),
                  "labelled": recipe["data"].get("labelled", 1), "data_seed": recipe.get("seed", 0)}

        def fits(settings):
            training = settings["training"] if self.recipe == "ours" else {}
            return (all(settings.get(key) == value for key, value in wanted.items())
                    and settings["limit"] == limits[settings["match"]]
                    and all(recipe["hybrid"].get(key, value) == value for key, value in training.items()))

        found = {}
        for name, kind in self._kinds().items():
            peer = read_json(self.folder / f"{name}.json")
            if peer and all(peer["settings"].get(key) == value for key, value in kind.items()) and fits(peer["settings"]):
                found[name] = peer
        return found

    @property
    def steps(self):
        """The peers' names."""
        return tuple(self._kinds())

    @property
    def at(self):
        return self.run.at

    @property
    def seed(self):
        return self.run.seed

    @property
    def search(self):
        return self.run.search

    def places(self):
        """As of a run."""
        run = self.run.name.removesuffix(f"-s{self.seed}")
        return {name: (f"{run}/peers", peer_step(kind)) for name, kind in self._kinds().items()}

    def kinds(self):
        return list(self._kinds().values())

    def other_than_chosen(self, step, network, chosen):
        """As of a run: what is pruned is never the network that was chosen."""
        return ""

    def set_words(self):
        return [*self.run.set_words(), f"recipe={self.recipe}", f"precision={self.precision}"]

    def _kinds(self):
        """What each name stands for."""
        return {f"{method}-{match}-{scope}-{self.recipe}-s{self.run.seed}": dict(zip(KIND, (method, match, scope, self.recipe)))
                for method in self.methods for match in self.matches for scope in self.scopes}

    def state(self):
        there = self.peers()
        missing = [name for name in self.steps if name not in there]
        if len(missing) == len(self.steps):
            return State(MISSING)
        return State(BEGUN, f"not yet: {', '.join(missing)}") if missing else State(DONE)

    def require_inputs(self):
        if not self.run.hybrid_record():
            raise StudyError(f"{self.name}: the run {self.run.name} has no mapped network yet; the study '{self.needs}' makes it")

    def finish(self):
        pass


def _one_or_both(words):
    return "both" if len(words) > 1 else words[0]


def command_text(words):
    return shlex.join(words)
