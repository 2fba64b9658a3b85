"""The figures of a study as they are in docs/results/DATASET-STUDY.json, and what is reckoned from them."""
import math
import statistics
from dataclasses import dataclass

from text_table import chance_points

TEST, HELD_OUT = "test_top1_percent", "held_out_top1_percent"
PER_SEED = ("seeds", "parameters", "macs", TEST, "test_loss", HELD_OUT, "seconds")  # of a row: a list, one entry a seed
REGRESSION = "regression-hybrid"
CONTROLS = ("no-mapping", REGRESSION, "smaller-resnet", "distilled-resnet")
PRUNED = "Torch-Pruning"  # all peers of a size together, where none is there
# What a t distribution with 2 (N - 1) degrees of freedom exceeds on either side once in twenty times, by N; for more, N = 6.
STUDENTS_T = {2: 4.303, 3: 2.776, 4: 2.447, 5: 2.306, 6: 2.228}
MATCHES = {"params": "to its parameters", "macs": "to its MACs"}
KIND = ("method", "match", "scope", "recipe")  # of a peer; what its seeds have in common


def percents(row, key=TEST):
    """{seed: accuracy} of those seeds that have one."""
    return {seed: percent for seed, percent in zip(row["seeds"], row[key]) if percent is not None}


def percent_list(row, key=TEST):
    """The same without the seeds; empty where there is no row."""
    return list(percents(row, key).values()) if row else []


def top1(row, seeds=None, key=TEST):
    """Mean of its seeds, or of these alone."""
    return statistics.mean(percent for seed, percent in percents(row, key).items() if seeds is None or seed in seeds)


def common_seeds(rows, key=TEST):
    first, *others = (percents(row, key) for row in rows)
    return [seed for seed in first if all(seed in each for each in others)]


def restricted(row, seeds):
    """The row with these of its seeds alone."""
    kept = [number for number, seed in enumerate(row["seeds"]) if seed in seeds]
    return row | {key: [row[key][number] for number in kept] for key in PER_SEED}


def seed_points(one, other):
    """Difference of the means of as many seeds each that their spread alone exceeds once in twenty times (a t test, one variance
    for both); 0 for a single seed, which has none."""
    count = len(one)
    if count < 2:
        return 0
    variance = (statistics.variance(one) + statistics.variance(other)) / 2
    return STUDENTS_T.get(count, STUDENTS_T[max(STUDENTS_T)]) * math.sqrt(2 * variance / count)


def seeds_text(seeds):
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


@dataclass(frozen=True)
class Difference:
    """How far one row is above another, over the seeds that both have."""
    points: float  # of means as they are printed: a sentence is not to contradict the table above it
    is_chance: bool  # whether images alone, or seeds, may make such a difference, once in twenty times or more often
    over: str  # these seeds, where one of the rows has others too; else ""


def is_of_whole_blocks(row):
    """Whether its network was chosen without narrower blocks."""
    return "blocks" in row


def peer_step(kind):
    """Of a peer, or of what tells it apart."""
    return f"{kind['method']}-{kind['match']}-{kind['scope']}{'' if kind['recipe'] == 'ours' else '-' + kind['recipe']}"


def speedup(study, row):
    """How many times fewer MACs than the teacher's."""
    return study.find("teacher")["macs"][0] / statistics.mean(row["macs"])


def name_of(row):
    return f"{row['method']} {row['scope']} {MATCHES[row['match']]}{trained(row)}" if "method" in row else row["step"]


def note_recipes(value):
    """In figures from before there were peers with other settings than the hybrid's: which ones they were trained with."""
    asked = [each for wanted in value["asked"].values() for each in wanted if isinstance(each, dict)]
    for kind in [row for row in value["figures"] if "method" in row] + asked:
        kind.setdefault("recipe", "ours")


def trained(kind):
    """What the name of a peer ends with that was not trained as the hybrid."""
    return " with users' settings" if kind["recipe"] == "users" else ""


class Study:
    def __init__(self, value):
        note_recipes(value)
        self.value, self.rows = value, value["figures"]
        self.name, self.dataset = value["study"], value["dataset"]
        self.test_images, self.held_out_images = value["test_images"], value["held_out_images"]

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
        kinds = [dict(zip(KIND, each)) for each in dict.fromkeys(tuple(row[key] for key in KIND) for row in self.peers())]
        several = len({kind["match"] for kind in kinds}) > 1
        return [(name_of(kind) if several else f"{kind['method']} {kind['scope']}{trained(kind)}", kind) for kind in kinds]

    def others(self):
        """What mapped networks are held against: (its name, what a sentence on it begins with, where it stands)."""
        longer = [("teacher-longer", "Teacher-longer", {"step": "teacher-longer"})] if self.all("teacher-longer") else []
        return ([("not mapped", "No-mapping", {"step": "no-mapping"})] + longer +
                [(f"pruned by {name}", f"Pruning by {name}", kind) for name, kind in self.pruned()])

    def other(self, which, at):
        """The row of one of them, beside the mapped network at that place, or None. The teacher is the same beside all sizes."""
        if which.get("step") == "teacher-longer":
            at = {key: value for key, value in at.items() if key != "size"}
        return self.find(**{"step": None} | which | at)

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

    def not_run(self, size):
        """What is asked for beside the hybrid of that size and is not there: controls and peers; PRUNED for all its peers."""
        asked, there = self.value["asked"].get(size, ()), {row["step"] for row in self.all(size=size)}
        kinds = [kind for kind in asked if isinstance(kind, dict)]
        peers = [name_of(kind) for kind in kinds if peer_step(kind) not in there]
        return ([step for step in CONTROLS if step in asked and step not in there] +
                ([PRUNED] if peers and len(peers) == len(kinds) else peers))

    def variants(self, group, step):
        """Of an ablation: what is in a group, and the base that they all change, in the runs' order."""
        base = self.value["base"]
        return [row for row in self.all(step) if row.get("group") == group or ("variant" in row and row["variant"] == base)]

    def seeds(self):
        return sorted({seed for row in self.rows if row["step"] != "teacher" for seed in row["seeds"]})

    def difference(self, one, other, key=TEST):
        """A Difference, or None where they have no seed in common. The teacher is one for all seeds."""
        seeds, over, of_seeds = None, "", 0
        if "teacher" not in (one["step"], other["step"]):
            seeds = common_seeds((one, other), key)
            if not seeds:
                return None
            over = "" if all(len(percents(row, key)) == len(seeds) for row in (one, other)) else seeds_text(seeds)
            of_seeds = seed_points(*([percents(row, key)[seed] for seed in seeds] for row in (one, other)))
        means = round(top1(one, seeds, key), 2), round(top1(other, seeds, key), 2)
        points = round(means[0] - means[1], 2)
        return Difference(points, abs(points) < max(chance_points(*means, self._images(key)), of_seeds), over)

    def chance(self, row, key=TEST):
        """Points that the images alone make once in twenty times, near this row's accuracy."""
        return chance_points(top1(row, key=key), top1(row, key=key), self._images(key))

    def _images(self, key):
        return self.held_out_images if key == HELD_OUT else self.test_images
