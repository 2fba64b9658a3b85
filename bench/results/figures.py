"""The figures of a study as they are in docs/results/DATASET-STUDY.json, and what is reckoned from them."""
import statistics

from text_table import chance_points

REGRESSION = "regression-hybrid"
CONTROLS = ("no-mapping", REGRESSION, "smaller-resnet", "distilled-resnet")
MATCHES = {"params": "to its parameters", "macs": "to its MACs"}


def top1(row):
    """Mean of its seeds."""
    return statistics.mean(row["test_top1_percent"])


def points(one, other):
    """How far one is above the other, in points, as printed: a sentence is never to contradict the table above it."""
    return round(round(top1(one), 2) - round(top1(other), 2), 2)


def name_of(row):
    return f"{row['method']} {MATCHES[row['match']]}" if "method" in row else row["step"]


class Study:
    def __init__(self, value):
        self.value, self.rows = value, value["figures"]
        self.name, self.dataset, self.test_images = value["study"], value["dataset"], value["test_images"]

    def find(self, step, **at):
        """The row of that step at that place, or None."""
        return next(iter(self.all(step, **at)), None)

    def all(self, step=None, **at):
        return [row for row in self.rows if (step is None or row["step"] == step)
                and all(row.get(key) == value for key, value in at.items())]

    def peers(self, **at):
        return [row for row in self.all(**at) if "method" in row]

    def pruned(self):
        """The kinds of peers that the study has: (name, where they stand), in the runs' order."""
        kinds = list(dict.fromkeys((row["method"], row["match"]) for row in self.peers()))
        several = len({match for _, match in kinds}) > 1
        return [(f"{method}{f' {MATCHES[match]}' if several else ''}", {"method": method, "match": match})
                for method, match in kinds]

    def values(self, key, step=None, **at):
        """The different values of a key, in the runs' order."""
        return list(dict.fromkeys(row[key] for row in self.all(step, **at) if key in row))

    def sizes(self):
        """From the largest network to the smallest."""
        hybrids = {row["size"]: row["parameters"][0] for row in self.all("hybrid")}
        return sorted(self.values("size"), key=lambda size: -hybrids.get(size, 0))

    def has_no_sense(self, step, size):
        """Whether it would be the hybrid itself: mapping by regression is what stages of blocks have anyway."""
        return step == REGRESSION and size in self.value["no_flow_stage"]

    def variants(self, group, step):
        """Of an ablation: what is in a group, and the base that they all change, in the runs' order."""
        base = self.value["base"]
        return [row for row in self.all(step) if row.get("group") == group or ("variant" in row and row["variant"] == base)]

    def seeds(self):
        return sorted({seed for row in self.rows if row["step"] != "teacher" for seed in row["seeds"]})

    def chance(self, one, other):
        return chance_points(top1(one), top1(other), self.test_images)

    def is_chance(self, one, other):
        """Whether the test images alone may make such a difference, once in twenty times or more often."""
        return abs(points(one, other)) < self.chance(one, other)
