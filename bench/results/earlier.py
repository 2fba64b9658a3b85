"""Figures that stand in docs/results already: those whose runs are gone, with the machine that they were on, can be kept."""
import math

from figures import PER_SEED
from run_files import differences
from tasks import DONE, ROUNDING


class Earlier:
    """What report.py wrote before of the same study; `value` is None where there is nothing, or nothing is to be kept."""

    def __init__(self, value, recipe):
        """recipe: what the study's teacher and networks are trained by, flat. With another one nothing is kept."""
        if value and (differences(recipe, value.get("recipe", {})) or differences(value["recipe"], recipe)):
            value = None
        self.value = value

    def chosen(self, search):
        """What that search had chosen, where it was asked for the same; else None."""
        found = self.value["chosen"].get(search.size) if self.value else None
        same = found and (found["target"], found.get("asked", list(search.words))) == (" ".join(search.targets), list(search.words))
        return found if same else None

    def add_to(self, figures, tasks):
        """Adds to rows what seeds they do not have, and rows that are not there; returns how many seeds it added. Nothing is
        added to figures of another teacher, nor what was trained with other settings or on another network."""
        if not self.value or not self._has_the_teacher(figures):
            return 0
        wanted = {(*place, task.seed): (task, place) for task in tasks for place in task.places().values()}
        added = 0
        for row in self.value["figures"]:
            for number, seed in enumerate(row["seeds"]):
                task, place = wanted.get((row["run"], row["step"], seed), (None, None))
                if task and row["set"] == task.set_words() and self._is_of_the_network(task) and not figures.has(place, seed):
                    figures.add_row(place, row | task.at | {key: [row[key][number]] for key in PER_SEED})
                    added += 1
        if added:
            for key in ("training_images", "test_images", "held_out_images"):
                before = self.value[key]
                getattr(figures, key).update(before if isinstance(before, list) else [before])
        return added

    def _has_the_teacher(self, figures):
        """As two runs know each other's: by its answers to the test images."""
        theirs, ours = ([row for row in rows if row["step"] == "teacher"]
                        for rows in (self.value["figures"], figures.rows.values()))
        return bool(theirs and ours) and theirs[0]["test_top1_percent"] == ours[0]["test_top1_percent"] and math.isclose(
            theirs[0]["test_loss"][0], ours[0]["test_loss"][0], rel_tol=ROUNDING)

    def _is_of_the_network(self, task):
        """A study whose networks no search has chosen says in its settings what they are."""
        search = task.search
        if not search or self.value["network"]:
            return True
        before = self.chosen(search)
        return bool(before) and (search.state().word != DONE or search.kept()["chosen"]["stages"] == before["chosen"]["stages"])
