"""From experiments.toml to the calls that each study is made of, in the order in which they are made."""
from pathlib import Path

from errors import StudyError
from run_files import read_settings, read_toml
from tasks import DONE, SOURCE, PeersTask, RunTask, SearchTask

STUDIES = ("teacher", "search", "front", "peers", "whole", "ablation", "epochs", "labels", "depgraph")
# Of these report.py makes tables; a study that is no table of its own stands in the front's.
TABLES = {"front": ("teacher", "search", "front", "peers", "whole"), "ablation": ("teacher", "search", "ablation"),
          "epochs": ("teacher", "search", "epochs"), "labels": ("teacher", "search", "labels"), "depgraph": ("depgraph",)}

# Sections of [peers] with kinds that stand beside the usual ones at one size.
MORE_PEERS = ("compared", "as-users")

# Where a row of a table stands whose network was chosen without narrower blocks.
WHOLE = {"blocks": "whole"}


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
        self.same = {}  # of each dataset

    def seeds_of(self, study):
        """Of those that are asked for, the ones that a study has."""
        return [seed for seed in self.seeds if seed in self.experiments[study].get("seeds", self.seeds)]

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
        return [self._search_task(dataset, recipe, size, asked) for size, asked in self.experiments["sizes"].items()]

    def _search_of(self, dataset, size):
        for task in self._search(dataset):
            if task.size == self._trained_as(dataset, size):
                return task
        raise StudyError(f"experiments.toml: no size '{size}' in [sizes], but a study asks for it")

    def _front(self, dataset):
        return self._of_sizes(dataset, "front", {})

    def _whole(self, dataset):
        whole = self.experiments["whole"]
        peers_at = [self._trained_as(dataset, size) for size in whole["peers_at"]]
        out = []
        for run in self._of_sizes(dataset, "whole", WHOLE):
            size = run.at["size"]
            out += [run] + (self._all_peers_of("whole", run, dataset) if size in peers_at else [])
        return out

    def _of_sizes(self, dataset, name, at):
        """The networks of a study's sizes, each trained once; one seed after the other."""
        study = self.experiments[name]
        from_scratch_at = [self._trained_as(dataset, size) for size in study["controls_at"]]
        longer_at = self._trained_as(dataset, study["teacher_longer_at"])

        def controls(size, seed):
            from_scratch = size in from_scratch_at and seed in study["from_scratch_seeds"]
            return (study["controls"] + (study["from_scratch"] if from_scratch else []) +
                    (["teacher_longer"] if size == longer_at else []))

        return [self._front_task(dataset, size, seed, controls(size, seed), at) for seed in self.seeds_of(name)
                for size in study["sizes"] if size == self._trained_as(dataset, size)]

    def _all_peers_of(self, study, run, dataset):
        """Its usual ones, and at some sizes others beside them."""
        out = self._peers_of(study, run)
        for name in MORE_PEERS:
            more = self.experiments["peers"][name]
            if (dataset, run.at["size"]) == (more["dataset"], self._trained_as(dataset, more["size"])):
                out += self._peers_of(study, run, more, f"peers-{name}")
        return out

    def _trained_as(self, dataset, size):
        """The size under whose name that network is trained."""
        return self.same_network(dataset).get(size, size)

    def same_network(self, dataset):
        """{size: the one before it that stands for the same network}, as far as networks have been chosen: each is trained once."""
        if dataset not in self.same:
            first, self.same[dataset] = {}, {}
            for search in self._search(dataset):
                if search.state().word == DONE:
                    size = first.setdefault(tuple(search.kept()["chosen"]["stages"]), search.size)
                    if size != search.size:
                        self.same[dataset][search.size] = size
        return self.same[dataset]

    def _peers(self, dataset):
        return [peers for run in self._front(dataset) for peers in self._all_peers_of("front", run, dataset)]

    def _ablation(self, dataset):
        ablation = self.experiments["ablation"]
        search = self._search_of(dataset, ablation["size"])

        def changes_fine_tuning(variant):
            return any(word.startswith("hybrid.") for word in variant["set"])

        return [self._run(f"{dataset}/ablation/{name}-s{seed}", search, seed, ablation["epochs"],
                          ablation["set"] + variant["set"],
                          ["no_mapping"] if name == ablation["base"] or changes_fine_tuning(variant) else [],
                          {"variant": name, "group": group["about"], "about": variant["about"]})
                for seed in self.seeds_of("ablation") for group in ablation["groups"] for name, variant in group["variants"].items()]

    def _epochs(self, dataset):
        study = self.experiments["epochs"]
        longer_at, peers_at = (self._trained_as(dataset, study[key]) for key in ("teacher_longer_at", "peers_at"))
        sizes = {}
        for size, epochs in study["sizes"].items():
            sizes.setdefault(self._trained_as(dataset, size), {}).update(dict.fromkeys(epochs))
        out = []
        for seed in self.seeds_of("epochs"):
            for size, numbers in sizes.items():
                for epochs in numbers:
                    name = f"{dataset}/epochs/{size}-e{epochs}-s{seed}"
                    longer = size == longer_at and epochs in study["teacher_longer_for"]
                    controls = ["no_mapping"] + (["teacher_longer"] if longer else [])
                    run = self._shared_with_front(name, dataset, size, seed, epochs, [], controls, {})
                    out += [run, *(self._peers_of("epochs", run) if size == peers_at else [])]
        return out

    def _labels(self, dataset):
        study = self.experiments["labels"]
        out = []
        for seed in self.seeds_of("labels"):
            for run in study["runs"]:
                labelled, distillation = run["labelled"], run["distillation"]
                settings = [f"hybrid.distillation={distillation:g}"]
                settings += [f"data.labelled={labelled:g}"] if labelled != 1 else []  # all: what no recipe need say
                name = f"{dataset}/labels/{labelled:g}-d{distillation:g}-s{seed}"
                at = {"labelled": labelled, "distillation": distillation}
                controls = ["no_mapping"] + (["teacher_longer"] if run.get("teacher_longer") else [])
                task = self._shared_with_front(name, dataset, study["size"], seed, run["epochs"], settings, controls, at)
                out += [task, *self._peers_of("labels", task)]
        return out

    def _depgraph(self, _):
        study = self.experiments["depgraph"]
        folder, recipe = study["folder"], study["recipe"]
        searches = [self._search_task(folder, recipe, size, asked) for size, asked in study["sizes"].items()]
        longer = study["longer"]
        runs = []
        for seed in self.seeds_of("depgraph"):
            for search in searches:
                controls = study["controls"] + (["teacher_longer"] if search.size == study["teacher_longer_at"] else [])
                runs.append(self._run(f"{folder}/front/{search.size}-s{seed}", search, seed, self.experiments["hybrid"]["epochs"],
                                      [], controls, {}, "depgraph"))
                if search.size == longer["size"]:
                    runs.append(self._run(f"{folder}/front/{search.size}-e{longer['epochs']}-s{seed}", search, seed,
                                          longer["epochs"], [], [], {}, "depgraph"))
        return [self._teacher_task(folder, recipe)] + searches + runs

    def _teacher_task(self, folder, recipe):
        return RunTask(f"{folder}/teacher", self.out / folder, SOURCE / recipe, method=("teacher",), only="teacher")

    def _search_task(self, folder, recipe, size, asked):
        return SearchTask(f"{folder}/search-{size}", self.out / folder, SOURCE / recipe, size, tuple(asked["targets"]),
                          self._teacher_task(folder, recipe), tuple(asked.get("set", self.experiments["hybrid"]["set"])))

    def _peers_of(self, study, run, changes=None, name="peers"):
        """Of a run with a seed that has peers, one task."""
        peers = self.experiments["peers"] | self.experiments[study].get("peers", {}) | (changes or {})
        return [PeersTask(f"{run.name}/{name}", run, tuple(peers["methods"]), tuple(peers["match"]), tuple(peers["scopes"]),
                          peers["recipe"], peers["precision"], needs=study)] if run.seed in peers["seeds"] else []

    def _front_task(self, dataset, size, seed, controls, at):
        search = self._search_of(dataset, size)
        study = "whole" if search.size in self.experiments["whole"]["sizes"] else "front"
        return self._run(f"{dataset}/{study}/{search.size}-s{seed}", search, seed, self.experiments["hybrid"]["epochs"], [],
                         controls, at)

    def _shared_with_front(self, name, dataset, size, seed, epochs, settings, controls, at):
        """The front's run where it is the same training: its steps are made once."""
        own = self._run(name, self._search_of(dataset, size), seed, epochs, settings, controls, at)
        front = self._front_task(dataset, size, seed, controls, at)
        return front if read_settings(own.settings) == read_settings(front.settings) else own

    def _run(self, name, search, seed, epochs, settings, controls, at, needs="search"):
        """Fine-tunes the network that was chosen for a size. Of settings the last one counts."""
        last = {}
        for word in [f"seed={seed}", f"hybrid.epochs={epochs}", *self.experiments["hybrid"]["set"], *settings]:
            last[word.partition("=")[0]] = word
        return RunTask(name, self.out / name, search.chosen_recipe, tuple(last.values()), ("map", "hybrid"), tuple(controls),
                       at={"size": search.size} | at | {"fine_tuning": epochs}, seed=seed, needs=needs, search=search)
