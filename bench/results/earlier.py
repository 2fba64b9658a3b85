"""Figures that stand in docs/results already: those whose runs are gone, with the machine that they were on, can be kept."""
from figures import KIND, PER_SEED, note_recipes
from run_files import differences
from tasks import DONE, same_answers


# Of a row, in the order of collect.py; what else it has says where it stands in the table of its own study.
OF_ALL_STUDIES = ("set", "by", "network", "epochs", *PER_SEED, *KIND, "machines", "versions")


class Earlier:
    """What report.py wrote of a study when there were other runs; None where there is nothing, or nothing is to be kept."""

    def __init__(self, value, recipe):
        """recipe: what the study's teacher and networks are trained by, flat. With another one nothing is kept."""
        if value and (differences(recipe, value.get("recipe", {})) or differences(value["recipe"], recipe)):
            value = None
        if value:
            note_recipes(value)
        self.value = value

    def chosen(self, search):
        """What that search had chosen, where it was asked for the same; else None."""
        found = self.value["chosen"].get(search.size) if self.value else None
        return found if found and not search.asked_otherwise(found) else None

    def add_to(self, figures, tasks):
        """Adds to rows what seeds they do not have, and rows that are not there. Nothing is added to figures of another teacher, nor
        what was trained with other settings or on another network. Machines and versions are those of all seeds of a row."""
        if not self.value or not self._has_the_teacher(figures):
            return
        wanted = {(*place, task.seed): (task, place) for task in tasks for place in task.places().values()}
        added = False
        for row in self.value["figures"]:
            for number, seed in enumerate(row["seeds"]):
                step = row["step"]
                task, place = wanted.get((row["run"], step, seed), (None, None))
                if not task or figures.has(place, seed) or row.get("size") != task.at.get("size"):
                    continue
                own = {"run": row["run"], "step": step} | task.at | {
                    key: [row[key][number]] if key in PER_SEED else row[key] for key in OF_ALL_STUDIES if key in row}
                if self._is_the_same_training(own, task):
                    figures.add(place, own)
                    added = True
        if added:
            for key in ("training_images", "test_images", "held_out_images"):
                counts = self.value[key]
                getattr(figures, key).update(counts if isinstance(counts, list) else [counts])

    def _has_the_teacher(self, figures):
        both = [[row for row in rows if row["step"] == "teacher"] for rows in (self.value["figures"], figures.rows.values())]
        return all(both) and same_answers(*((row["test_top1_percent"][0], row["test_loss"][0]) for row, *_ in both))

    def _is_the_same_training(self, row, task):
        """row: with one seed."""
        if row["set"] != task.set_words():
            return False
        if not task.search:
            return True
        chosen = self.chosen(task.search)
        if not chosen:
            return False
        if task.search.state().word == DONE and task.search.kept()["chosen"]["stages"] != chosen["chosen"]["stages"]:
            return False
        own = {key: row[key][0] for key in ("parameters", "macs")}
        return not task.other_than_chosen(row["step"], own, chosen["chosen"])
