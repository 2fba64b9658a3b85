"""The figures of a study, gathered from its runs' own files: what docs/results/DATASET-STUDY.json holds."""
from earlier import Earlier
from epochs import epochs_after_teacher, teacher_epochs
from figures import HELD_OUT, KIND, PER_SEED, REGRESSION
from plan import TABLES
from run_files import flat, held_out_percent, read_recipe, read_toml, step_records
from tasks import DONE, PeersTask, SearchTask

FROM_SCRATCH = ("smaller-resnet", "distilled-resnet")


class Figures:
    """Rows of figures: one for each network, its seeds beside each other."""

    def __init__(self):
        self.rows = {}  # by run and step
        self.training_images, self.test_images, self.held_out_images = set(), set(), set()

    def add(self, place, row):
        """A row with one seed, to what there is at that place. A peer may be asked for twice."""
        if self.has(place, row["seeds"][0]):
            return
        there = self.rows.setdefault(place, row)
        if there is not row:
            for key in PER_SEED:
                there[key] = there[key] + row[key]
            for key in ("machines", "versions"):
                there[key] = list(dict.fromkeys(there[key] + row[key]))

    def has(self, place, seed):
        return seed in self.rows.get(place, {}).get("seeds", ())

    def in_order(self, places):
        """Rows in the order of places, and seeds in theirs."""
        rows = [self.rows[place] for place in dict.fromkeys(places) if place in self.rows]
        for row in rows:
            order = sorted(range(len(row["seeds"])), key=row["seeds"].__getitem__)
            row |= {key: [row[key][number] for number in order] for key in PER_SEED}
        return rows


def collect(plan, table, dataset, earlier_values=()):
    """All that the table's runs have left so far, as a value for JSON; None before there is a network made smaller. Of what was
    collected earlier, for this study or for one that has some of its runs too, that is kept which has no runs any more."""
    figures = Figures()
    tasks = list({task.name: task for study in TABLES[table] for task in plan.tasks(study, dataset)}.values())
    runs = [task for task in tasks if not isinstance(task, SearchTask)]
    for task in runs:
        (_add_peers if isinstance(task, PeersTask) else _add_run)(figures, task)
    recipe = flat(read_recipe(runs[0].recipe))  # the teacher's, which all others begin with
    earlier = [Earlier(value, recipe) for value in earlier_values]
    for each in earlier:
        each.add_to(figures, runs)
    rows = figures.in_order([place for task in runs for place in task.places().values()])
    if not any(row["step"] == "hybrid" for row in rows):
        return None
    study, sizes = plan.experiments.get(table, {}), {row.get("size") for row in rows}
    searches = [task for task in tasks if isinstance(task, SearchTask) and any(run.search == task for run in runs)]
    chosen = {task.size: task.kept() if task.state().word == DONE else _first(each.chosen(task) for each in earlier)
              for task in searches if task.size in sizes}
    no_flow_stage = [size for size, kept in chosen.items()
                     if not any(name.startswith("flow") for name in kept["chosen"]["stages"])]
    return {"study": table, "dataset": dataset, "recipe": recipe, "settings": plan.experiments["hybrid"],
            "training_images": sorted(figures.training_images), "test_images": max(figures.test_images),
            "held_out_images": max(figures.held_out_images),
            "network": study.get("network"),  # where settings lay another one over what a search has chosen
            "chosen": chosen, "same_network": {size: other for size, other in plan.same_network(dataset).items()
                                               if table == "front" and other in sizes},
            "aim": study.get("aim"), "no_flow_stage": no_flow_stage, "published": study.get("published", []),
            "base": study.get("base"),
            "asked": _asked(runs, no_flow_stage), "runs": len(runs) + len(searches),
            "missing": _missing(runs, searches, figures, no_flow_stage), "figures": rows}


def _first(found):
    return next((each for each in found if each), None)


def _asked(runs, no_flow_stage):
    """{size: what the studies want there}, with any seed: steps, and kinds of peers."""
    out = {}
    for task in runs:
        if task.at:
            wanted = out.setdefault(task.at["size"], [])
            both = task.kinds() if isinstance(task, PeersTask) else _steps(task, no_flow_stage)
            wanted += [each for each in both if each not in wanted]
    return out


def _steps(task, no_flow_stage):
    """Names of a run's steps, or of peers. A run whose recipe is gone does not know itself that it has no flow stage."""
    return [name for name in task.places() if not (name == REGRESSION and task.at["size"] in no_flow_stage)]


def _missing(runs, searches, figures, no_flow_stage):
    """Names of the runs that there are not all figures of, with the reason, and of the searches that these wait for."""
    names, waiting_for = [], []
    for task in runs:
        steps = _steps(task, no_flow_stage)
        left = [name for name in steps if not figures.has(task.places()[name], task.seed)]
        if left:
            names.append(_with_reason(task.name, task.state().why if len(left) == len(steps) else f"not yet: {', '.join(left)}"))
            waiting_for.append(task.search)
    return [_with_reason(task.name, state.why) for task in searches
            if task in waiting_for and (state := task.state()).word != DONE] + names


def _with_reason(name, why):
    return f"{name} ({why})" if why else name


def _add_run(figures, task):
    records, results = step_records(task.folder)
    if results is None or task.why_not():
        return
    recipe = read_toml(task.folder / "recipe.toml")
    if task.only != "teacher":  # that one may be given to runs with other images
        figures.training_images.add(results["training_images"])
        figures.test_images.add(results["test_images"])
        held_out = recipe["data"].get("validation", 0)
        figures.held_out_images.add(round(results["training_images"] * held_out / (1 - held_out)))
    for step, place in task.places().items():
        if step in records:
            record = records[step]
            figures.add(place, _row(task, place, record, "mfi", record["network"], _epochs(step, record, records, recipe))
                        | {HELD_OUT: [held_out_percent(task.folder, record)],
                           "machines": [results["machine"]], "versions": [results["version"]]})


def _epochs(step, record, records, recipe):
    """All that the network's weights have seen."""
    if step in FROM_SCRATCH:
        return record["epochs"]
    if "teacher" not in records or step == "teacher":
        return record["epochs"]
    before = teacher_epochs(recipe, records["teacher"])
    return before + (record["epochs"] if step == "map" else epochs_after_teacher(recipe))


def _add_peers(figures, task):
    peers = task.peers()
    if not peers:
        return
    records, _ = step_records(task.run.folder)
    before = teacher_epochs(read_toml(task.run.folder / "recipe.toml"), records["teacher"])
    for name, peer in peers.items():
        made, place = peer["made_with"], task.places()[name]
        row = _row(task, place, peer, "Torch-Pruning", f"{peer['method']}, {peer['scope']}, {peer['recipe']}",
                   before + peer["settings"]["epochs"])
        figures.add(place, row | {key: peer[key] for key in KIND} | {
            "machines": [f"{made['machine']}, {made['threads']} threads"],
            "versions": [f"Torch-Pruning {peer['settings']['torch_pruning']}, PyTorch {made['torch']}"]})


def _row(task, place, record, by, network, epochs):
    run, step = place
    values = (task.seed, record["parameters"], record["macs"], record["test_top1_percent"], record.get("test_loss"), None,
              record.get("seconds"))
    return {"run": run, "step": step, **task.at, "set": task.set_words(), "by": by, "network": network, "epochs": epochs} | {
        key: [value] for key, value in zip(PER_SEED, values)}
