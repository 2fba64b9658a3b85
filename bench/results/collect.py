"""The figures of a study, gathered from its runs' own files: what docs/results/DATASET-STUDY.json holds."""
from epochs import epochs_after_teacher, teacher_epochs
from figures import PER_SEED, PRUNED
from plan import TABLES
from run_files import has_flow_stage, held_out_percent, read_recipe, read_toml, step_records
from tasks import DONE, PeersTask, RunTask, SearchTask

FROM_SCRATCH = ("smaller-resnet", "distilled-resnet")


class Figures:
    """Rows of figures: one for each network, its seeds beside each other."""

    def __init__(self):
        self.rows, self.missing, self.runs = {}, [], 0
        self.training_images, self.test_images, self.held_out_images = set(), set(), set()

    def add(self, run, step, seed, at, by, network, epochs, record, held_out, machine, version):
        row = self.rows.setdefault((run, step), {"run": run, "step": step, **at, "by": by, "network": network, "epochs": epochs}
                                   | {key: [] for key in PER_SEED} | {"machines": [], "versions": []})
        for key, value in zip(PER_SEED, (seed, record["parameters"], record["macs"], record["test_top1_percent"],
                                         record.get("test_loss"), held_out, record.get("seconds"))):
            row[key].append(value)
        for key, value in (("machines", machine), ("versions", version)):
            if value not in row[key]:
                row[key].append(value)


def _asked(tasks):
    """{size: what the studies want there}, with any seed: steps, and PRUNED."""
    out = {}
    for task in tasks:
        if isinstance(task, PeersTask):
            out.setdefault(task.run.at["size"], []).append(PRUNED)
        elif isinstance(task, RunTask) and task.at:
            out.setdefault(task.at["size"], []).extend(task.steps)
    return {size: list(dict.fromkeys(steps)) for size, steps in out.items()}


def collect(plan, table, dataset):
    """All that the table's runs have left so far, as a value for JSON; None before there is a network made smaller."""
    figures = Figures()
    tasks = {task.name: task for study in TABLES[table] for task in plan.tasks(study, dataset)}.values()
    asked = _asked(tasks)
    searches = [task for task in tasks if isinstance(task, SearchTask) and task.size in asked]
    for task in tasks:
        state = task.state()
        counts = task in searches or not isinstance(task, SearchTask)
        figures.runs += counts
        if counts and state.word != DONE:
            figures.missing.append(f"{task.name}{f' ({state.why})' if state.why else ''}")
        if isinstance(task, SearchTask):
            continue
        if isinstance(task, PeersTask):
            _add_peers(figures, task)
        else:
            _add_run(figures, task)
    if not any(row["step"] == "hybrid" for row in figures.rows.values()):
        return None
    network = plan.experiments.get(table, {}).get("network")  # in place of one that a search has chosen
    rows = list(figures.rows.values())
    sizes = {row.get("size") for row in rows}
    searches = [task for task in searches if task.size in sizes]  # all of them done, or there would be no such rows
    return {"study": table, "dataset": dataset, "settings": plan.experiments["hybrid"],
            "training_images": sorted(figures.training_images), "test_images": max(figures.test_images),
            "held_out_images": max(figures.held_out_images),
            "network": network, "chosen": {} if network else {task.size: task.kept() for task in searches},
            "same_network": {size: other for size, other in plan.same_network(dataset).items()
                             if table == "front" and other in sizes},
            "no_flow_stage": [task.size for task in searches if not has_flow_stage(read_recipe(task.chosen_recipe))],
            "published": plan.experiments.get(table, {}).get("published", []),
            "base": plan.experiments.get(table, {}).get("base"), "asked": asked, "runs": figures.runs,
            "missing": figures.missing, "figures": rows}


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
    for step in task.steps:
        if step in records:
            record = records[step]
            figures.add(_without_seed(task), step, task.seed, task.at, "mfi", record["network"],
                        _epochs(step, record, records, recipe), record, held_out_percent(task.folder, record),
                        results["machine"], results["version"])


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
    for peer in peers.values():
        made = peer["made_with"]
        figures.add(f"{_without_seed(task.run)}/peers", f"{peer['method']}-{peer['match']}-{peer['scope']}", task.run.seed,
                    task.run.at | {key: peer[key] for key in ("method", "match", "scope")}, "Torch-Pruning",
                    f"{peer['method']}, {peer['scope']}, {peer['recipe']}", before + peer["settings"]["epochs"], peer, None,
                    f"{made['machine']}, {made['threads']} threads",
                    f"Torch-Pruning {peer['settings']['torch_pruning']}, PyTorch {made['torch']}")


def _without_seed(task: RunTask):
    return task.name.removesuffix(f"-s{task.seed}")
