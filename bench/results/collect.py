"""The figures of a study, gathered from its runs' own files: what docs/results/DATASET-STUDY.json holds."""
from earlier import Earlier
from epochs import epochs_after_teacher, teacher_epochs
from figures import PER_SEED, PRUNED, REGRESSION
from plan import TABLES
from run_files import flat, held_out_percent, read_recipe, read_toml, step_records
from tasks import DONE, PeersTask, SearchTask

FROM_SCRATCH = ("smaller-resnet", "distilled-resnet")


class Figures:
    """Rows of figures: one for each network, its seeds beside each other."""

    def __init__(self):
        self.rows = {}  # by run and step
        self.training_images, self.test_images, self.held_out_images = set(), set(), set()

    def add(self, task, place, kind, by, network, epochs, record, held_out, machine, version):
        """kind: what tells peers of one run from each other. A peer may be asked for twice."""
        if self.has(place, task.seed):
            return
        run, step = place
        values = (task.seed, record["parameters"], record["macs"], record["test_top1_percent"], record.get("test_loss"), held_out,
                  record.get("seconds"))
        self.add_row(place, {"run": run, "step": step, **task.at, **kind, "set": task.set_words(), "by": by, "network": network,
                             "epochs": epochs} | {key: [value] for key, value in zip(PER_SEED, values)}
                     | {"machines": [machine], "versions": [version]})

    def add_row(self, place, row):
        """To what there is at that place: one seed more."""
        there = self.rows.setdefault(place, row)
        if there is row:
            return
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


def _asked(runs):
    """{size: what the studies want there}, with any seed: steps, and PRUNED."""
    out = {}
    for task in runs:
        if task.at:
            out.setdefault(task.at["size"], []).extend([PRUNED] if isinstance(task, PeersTask) else task.steps)
    return {size: list(dict.fromkeys(steps)) for size, steps in out.items()}


def collect(plan, table, dataset, before=None):
    """All that the table's runs have left so far, as a value for JSON, and how many of its figures are kept from `before`, which
    was collected when there were other runs. None in place of the value before there is a network made smaller."""
    figures = Figures()
    tasks = list({task.name: task for study in TABLES[table] for task in plan.tasks(study, dataset)}.values())
    runs = [task for task in tasks if not isinstance(task, SearchTask)]
    for task in runs:
        (_add_peers if isinstance(task, PeersTask) else _add_run)(figures, task)
    recipe = flat(read_recipe(runs[0].recipe))  # the teacher's, which all others begin with
    earlier = Earlier(before, recipe)
    kept = earlier.add_to(figures, runs)
    rows = figures.in_order([place for task in runs for place in task.places().values()])
    if not any(row["step"] == "hybrid" for row in rows):
        return None, 0
    study, asked = plan.experiments.get(table, {}), _asked(runs)
    searches = [task for task in tasks if isinstance(task, SearchTask) and task.size in asked]
    sizes = {row.get("size") for row in rows}
    chosen = {task.size: task.kept() if task.state().word == DONE else earlier.chosen(task)
              for task in searches if task.size in sizes}
    no_flow_stage = [size for size, found in chosen.items()
                     if found and not any(name.startswith("flow") for name in found["chosen"]["stages"])]
    return {"study": table, "dataset": dataset, "recipe": recipe, "settings": plan.experiments["hybrid"],
            "training_images": sorted(figures.training_images), "test_images": max(figures.test_images),
            "held_out_images": max(figures.held_out_images),
            "network": study.get("network"),  # in place of one that a search has chosen
            "chosen": {} if study.get("network") else chosen,
            "same_network": {size: other for size, other in plan.same_network(dataset).items()
                             if table == "front" and other in sizes},
            "no_flow_stage": no_flow_stage, "published": study.get("published", []), "base": study.get("base"), "asked": asked,
            "runs": len(runs) + len(searches), "missing": _missing(runs, searches, figures, no_flow_stage), "figures": rows}, kept


def _missing(runs, searches, figures, no_flow_stage):
    """Names of the runs that there are not all figures of, with the reason, and of the searches that these wait for."""
    names, sizes = [], set()
    for task in runs:
        left = [name for name, place in task.places().items() if not figures.has(place, task.seed)
                and not (name == REGRESSION and task.at["size"] in no_flow_stage)]
        if left:
            why = task.state().why if len(left) == len(task.places()) else f"not yet: {', '.join(left)}"
            names.append(_with_reason(task.name, why))
            sizes.add(task.at.get("size"))
    return [_with_reason(task.name, state.why) for task in searches
            if task.size in sizes and (state := task.state()).word != DONE] + names


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
            figures.add(task, place, {}, "mfi", record["network"], _epochs(step, record, records, recipe), record,
                        held_out_percent(task.folder, record), results["machine"], results["version"])


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
        made = peer["made_with"]
        figures.add(task, task.places()[name], {key: peer[key] for key in ("method", "match", "scope")}, "Torch-Pruning",
                    f"{peer['method']}, {peer['scope']}, {peer['recipe']}", before + peer["settings"]["epochs"], peer, None,
                    f"{made['machine']}, {made['threads']} threads",
                    f"Torch-Pruning {peer['settings']['torch_pruning']}, PyTorch {made['torch']}")
