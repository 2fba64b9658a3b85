"""From experiments.toml to the calls that each study is made of, in the order in which they are made."""
from pathlib import Path

from errors import StudyError
from run_files import read_settings, read_toml
from tasks import CONTROL_STEPS, SOURCE, PeersTask, RunTask, SearchTask

STUDIES = ("teacher", "search", "front", "peers", "ablation", "epochs", "labels", "depgraph")
# Of these report.py makes tables; a study that is no table of its own stands in the front's.
TABLES = {"front": ("teacher", "search", "front", "peers"), "ablation": ("teacher", "search", "ablation"),
          "epochs": ("teacher", "search", "epochs"), "labels": ("teacher", "search", "labels"), "depgraph": ("depgraph",)}


def read_experiments(file=Path(__file__).with_name("experiments.toml")):
    experiments = read_toml(file)
    if experiments is None:
        raise StudyError(f"{file}: there is none")
    return experiments


class Plan:
    """All tasks below one folder."""

    def __init__(self, out, experiments, seeds=None):
        self.out, self.experiments = Path(out), experiments
        self.seeds = experiments["seeds"] if seeds is None else seeds

    def datasets(self, study, asked=None):
        """Those that a study is made with: what was asked for, else what experiments.toml says."""
        if study == "depgraph":
            own = self.experiments["depgraph"]["dataset"]
            if asked and own not in asked:
                raise StudyError(f"depgraph is made with {own} alone")
            return [own]
        return asked or self.experiments.get(study, {}).get("datasets", list(self.experiments["datasets"]))

    def tasks(self, study, dataset):
        return getattr(self, f"_{study}")(dataset)

    def _teacher(self, dataset):
        return [self._teacher_task(dataset, self.experiments["datasets"][dataset]["recipe"])]

    def _search(self, dataset):
        recipe = self.experiments["datasets"][dataset]["recipe"]
        return [self._search_task(dataset, recipe, size, targets) for size, targets in self.experiments["sizes"].items()]

    def _front(self, dataset):
        front = self.experiments["front"]
        return [self._front_task(dataset, size, seed,
                                 front["controls"] + (["teacher_longer"] if size == front["teacher_longer_at"] else []))
                for seed in self.seeds for size in self.experiments["sizes"]]

    def _peers(self, dataset):
        return [self._peers_task("front", run) for run in self._front(dataset)]

    def _ablation(self, dataset):
        ablation = self.experiments["ablation"]
        return [self._run(f"{dataset}/ablation/{name}-s{seed}", dataset, ablation["size"], seed, ablation["epochs"],
                          ablation["set"] + variant["set"], ["no_mapping"] if name == ablation["base"] else [],
                          {"variant": name, "group": group["about"], "about": variant["about"]})
                for seed in self.seeds for group in ablation["groups"] for name, variant in group["variants"].items()]

    def _epochs(self, dataset):
        study = self.experiments["epochs"]
        out = []
        for seed in self.seeds:
            for size in study["sizes"]:
                for epochs in study["epochs"]:
                    name = f"{dataset}/epochs/{size}-e{epochs}-s{seed}"
                    run = self._shared_with_front(name, dataset, size, seed, epochs, [], ["no_mapping"], {})
                    out += [run, self._peers_task("epochs", run)]
        return out

    def _labels(self, dataset):
        study = self.experiments["labels"]
        out = []
        for seed in self.seeds:
            for run in study["runs"]:
                labelled, distillation = run["labelled"], run["distillation"]
                settings = [f"hybrid.distillation={distillation:g}"]
                settings += [f"data.labelled={labelled:g}"] if labelled != 1 else []  # all: what no recipe need say
                name = f"{dataset}/labels/{labelled:g}-d{distillation:g}-s{seed}"
                at = {"labelled": labelled, "distillation": distillation}
                task = self._shared_with_front(name, dataset, study["size"], seed, run["epochs"], settings,
                                               ["no_mapping"], at)
                out += [task, self._peers_task("labels", task)]
        return out

    def _depgraph(self, _):
        study = self.experiments["depgraph"]
        folder, recipe, sizes = study["folder"], study["recipe"], study["sizes"]
        return ([self._teacher_task(folder, recipe)] +
                [self._search_task(folder, recipe, size, targets) for size, targets in sizes.items()] +
                [self._run(f"{folder}/front/{size}-s{seed}", folder, size, seed, self.experiments["hybrid"]["epochs"], [],
                           study["controls"] + (["teacher_longer"] if size == study["teacher_longer_at"] else []),
                           {"size": size}, "depgraph") for seed in self.seeds for size in sizes])

    def _teacher_task(self, folder, recipe):
        return RunTask(f"{folder}/teacher", self.out / folder, SOURCE / recipe, steps=("teacher",), only="teacher")

    def _search_task(self, folder, recipe, size, targets):
        return SearchTask(f"{folder}/search-{size}", self.out / folder, SOURCE / recipe, size, tuple(targets))

    def _peers_task(self, study, run):
        peers = self.experiments["peers"] | self.experiments[study].get("peers", {})
        return PeersTask(f"{run.name}/peers", run, tuple(peers["methods"]), tuple(peers["match"]), peers["scope"],
                         peers["recipe"], needs=study)

    def _front_task(self, dataset, size, seed, controls, at=None):
        return self._run(f"{dataset}/front/{size}-s{seed}", dataset, size, seed, self.experiments["hybrid"]["epochs"], [],
                         controls, at or {"size": size})

    def _shared_with_front(self, name, dataset, size, seed, epochs, settings, controls, at):
        """The front's run where it is the same training: its steps are made once."""
        at = {"size": size} | at
        own = self._run(name, dataset, size, seed, epochs, settings, controls, at)
        front = self._front_task(dataset, size, seed, controls, at)
        return front if read_settings(own.settings) == read_settings(front.settings) else own

    def _run(self, name, folder, size, seed, epochs, settings, controls, at, needs="search"):
        """Fine-tunes the network that was chosen for a size. Of settings the last one counts, and all controls are named: the
        recipe may have some."""
        last = {}
        for word in [f"seed={seed}", f"hybrid.epochs={epochs}", *self.experiments["hybrid"]["set"], *settings]:
            last[word.partition("=")[0]] = word
        words = list(last.values())
        words += [f"controls.{control}={'true' if control in controls else 'false'}" for control in CONTROL_STEPS]
        steps = ["map", "hybrid"] + [CONTROL_STEPS[control] for control in CONTROL_STEPS if control in controls]
        return RunTask(name, self.out / name, self.out / folder / "sizes" / f"{size}.toml", tuple(words), tuple(steps),
                       at=at | {"fine_tuning": epochs}, seed=seed, needs=needs)
