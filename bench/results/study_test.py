#!/usr/bin/env python3
"""Tests of study.py: what a study is made of, how far it is, and carrying it out with a made-up mfi that trains nothing."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]
sys.dont_write_bytecode = True
import run_files  # noqa: E402
from chosen import keep_chosen  # noqa: E402
from errors import StudyError  # noqa: E402
from made_up_folder import MFI, SOURCE, InAFolder, run_tests  # noqa: E402
from plan import STUDIES, Plan, read_experiments  # noqa: E402
from tasks import Options, PeersTask  # noqa: E402


def runs(tasks):
    """Without peers."""
    return [task for task in tasks if not isinstance(task, PeersTask)]


def settings(task):
    return run_files.read_settings(task.settings)


class ThePlan(unittest.TestCase):
    def setUp(self):
        self.plan = Plan("out", read_experiments())

    def task(self, study, name):
        return next(task for task in self.plan.tasks(study, "cifar10") if task.name == name)

    def test_names_each_run_of_a_study_once(self):
        for study in STUDIES:
            names = [task.name for task in self.plan.tasks(study, "cifar10")]
            self.assertEqual(len(names), len(set(names)), study)

    def test_takes_recipes_that_there_are(self):
        for folder, study in (("cifar10", "teacher"), ("cifar100", "search"), ("cifar10", "depgraph")):
            self.assertTrue(self.plan.tasks(study, folder)[0].recipe.is_file())

    def test_fine_tunes_only_sizes_that_are_searched(self):
        for study, makes in (("front", "search"), ("whole", "search"), ("ablation", "search"), ("epochs", "search"), ("labels", "search"),
                             ("depgraph", "depgraph")):
            made = {task.folder / "sizes" / f"{task.size}.toml" for task in self.plan.tasks(makes, "cifar10")
                    if hasattr(task, "size")}
            for task in runs(self.plan.tasks(study, "cifar10")):
                if getattr(task, "at", None):
                    self.assertIn(task.recipe, made, task.name)
                    self.assertEqual(task.needs, makes)

    def test_searches_for_a_second_target_where_the_size_has_one(self):
        task = self.task("search", "cifar10/search-0.3")
        self.assertEqual(task.commands(Options("mfi"))[0][3:7], ["--target", "params=0.3", "--target", "macs=0.5"])

    def test_makes_all_seeds_of_all_sizes_in_the_front_one_seed_after_the_other(self):
        names = [task.name for task in self.plan.tasks("front", "cifar10")]
        self.assertEqual(len(names), 18)
        self.assertEqual(names[:7], [f"cifar10/front/{name}" for name in
                                     ("0.6-s0", "0.4-s0", "0.3-s0", "0.22-s0", "0.2-s0", "macs-0.44-s0", "0.6-s1")])

    def test_trains_the_teacher_longer_at_one_size_alone(self):
        longer = [task.name for task in self.plan.tasks("front", "cifar10") if "teacher-longer" in task.steps]
        self.assertEqual(longer, [f"cifar10/front/0.3-s{seed}" for seed in range(3)])
        self.assertIn("controls.teacher_longer=false", self.task("front", "cifar10/front/0.2-s0").settings)

    def test_trains_the_teacher_as_long_as_the_longest_fine_tuning(self):
        longer = [task.name for task in runs(self.plan.tasks("epochs", "cifar10")) if "teacher-longer" in task.steps and task.seed == 0]
        self.assertEqual(longer, ["cifar10/whole/whole-0.3-s0", "cifar10/epochs/whole-0.3-e20-s0"])

    def test_trains_resnets_from_scratch_where_the_front_says_so(self):
        front = self.plan.experiments["front"]
        self.assertLessEqual(set(front["controls_at"]), set(self.plan.experiments["sizes"]))
        for task in self.plan.tasks("front", "cifar10"):
            from_scratch = {"smaller-resnet", "distilled-resnet"} <= set(task.steps)
            self.assertEqual(from_scratch, task.at["size"] in front["controls_at"] and task.seed == 0, task.name)
            self.assertIn("no-mapping", task.steps)

    def test_names_a_size_that_is_not_searched(self):
        experiments = self.plan.experiments
        with self.assertRaises(StudyError) as caught:
            Plan("out", experiments | {"ablation": experiments["ablation"] | {"size": "0.9"}}).tasks("ablation", "cifar10")
        self.assertIn("no size '0.9' in [sizes]", str(caught.exception))

    def test_gives_every_hybrid_the_settings_of_one_place(self):
        for study in ("front", "ablation", "epochs"):
            for task in runs(self.plan.tasks(study, "cifar10")):
                self.assertEqual(settings(task)["hybrid.distillation"], 0.9, task.name)

    def test_sets_each_key_once(self):
        for study in ("front", "ablation", "epochs", "labels"):
            for task in runs(self.plan.tasks(study, "cifar10")):
                keys = [word.partition("=")[0] for word in task.settings]
                self.assertEqual(len(keys), len(set(keys)), task.name)

    def test_changes_the_objective_of_each_variant(self):
        one = settings(self.task("ablation", "cifar10/ablation/endpoint-124-s1"))
        self.assertEqual((one["seed"], one["hybrid.epochs"], one["data.limit"]), (1, 1, 20000))
        self.assertEqual(one["objective.endpoint_steps"], [1, 2, 4])
        with_control = {task.at["variant"] for task in self.plan.tasks("ablation", "cifar10") if "no-mapping" in task.steps}
        self.assertEqual(with_control, {"both", "features"})  # the base, and what changes the control's training too

    def test_changes_the_network_of_a_variant_in_all_its_flow_stages(self):
        both, sees = (settings(self.task("ablation", f"cifar10/ablation/{name}-s0")) for name in ("both", "depthwise-7"))
        self.assertEqual(sees, both | {"flow.velocity": "depthwise", "flow.kernel": 7, "controls.no_mapping": False})

    def test_holds_images_out_where_variants_are_chosen(self):
        for task in self.plan.tasks("ablation", "cifar10"):
            self.assertGreater(settings(task)["data.validation"], 0, task.name)

    def test_has_each_variant_in_one_group(self):
        groups = {}
        for task in self.plan.tasks("ablation", "cifar10"):
            groups.setdefault(task.at["group"], set()).add(task.at["variant"])
        self.assertEqual(list(groups), ["what is minimised", "what the velocity network sees", "what it learns from"])
        self.assertEqual([len(names) for names in groups.values()], [7, 9, 2])
        self.assertIn(self.plan.experiments["ablation"]["base"], groups["what is minimised"])

    def test_sets_keys_that_a_recipe_has(self):
        known = set(re.findall(r"^\| `([\w.]+)`", (SOURCE / "docs/recipes.md").read_text(), re.M))
        for study in ("front", "ablation", "epochs", "labels", "depgraph"):
            for task in runs(self.plan.tasks(study, "cifar10")):
                self.assertLessEqual({word.partition("=")[0] for word in getattr(task, "settings", ())}, known, task.name)

    def test_has_control_and_peers_without_fine_tuning_too(self):
        for epochs in (0, 1):
            self.assertEqual(self.task("epochs", f"cifar10/epochs/whole-0.3-e{epochs}-s0").steps, ("map", "hybrid", "no-mapping"))

    def test_takes_the_fronts_run_where_it_is_the_same_training(self):
        epochs = [task.name for task in runs(self.plan.tasks("epochs", "cifar10")) if task.seed == 0]
        self.assertIn("cifar10/whole/whole-0.3-s0", epochs)
        self.assertNotIn("cifar10/epochs/whole-0.3-e5-s0", epochs)
        labels = [task.name for task in runs(self.plan.tasks("labels", "cifar10")) if task.seed == 0]
        self.assertEqual(labels, [f"cifar10/labels/{name}-s0" for name in ("0.01-d0", "0.01-d0.9", "0.1-d0", "0.1-d0.9", "1-d0")] +
                         ["cifar10/whole/whole-0.22-s0"])

    def test_trains_on_as_many_batches_however_few_the_labels(self):
        for run in self.plan.experiments["labels"]["runs"]:
            images = 50000 if run["distillation"] else round(50000 * run["labelled"])
            batches = max(1, images // 128)  # mfi leaves out a last, smaller one
            self.assertEqual(run["epochs"] * batches, 1950, run)

    def test_gives_a_peer_the_seed_of_its_run(self):
        experiments = self.plan.experiments
        self.plan = Plan("out", experiments | {"peers": experiments["peers"] | {"seeds": [2]}})
        task = self.task("peers", "cifar10/front/0.2-s2/peers")
        words = task.commands(Options("mfi", "data", 2))[0]
        self.assertEqual(words[1:3], ["mfi", "out/cifar10/front/0.2-s2"])
        self.assertEqual(words[3:], "--data data --methods group-norm --match both --scope local --recipe ours "
                         "--precision bf16 --seeds 2 --threads 2".split())

    def test_compares_all_ways_of_pruning_at_one_size_and_shows_the_best_at_the_others(self):
        for dataset in ("cifar10", "cifar100"):
            peers = [task for study in ("peers", "whole") for task in self.plan.tasks(study, dataset)
                     if isinstance(task, PeersTask)]
            compared, as_users = ([task for task in peers if task.name.endswith(f"/peers-{name}")] for name in ("compared", "as-users"))
            self.assertEqual([task.run.at["size"] for task in peers if task not in compared + as_users],
                             ["0.6", "0.4", "0.3", "0.22", "0.2", "macs-0.44", "whole-0.3", "whole-0.22"])
            self.assertEqual([(task.run.at["size"], len(task.steps)) for task in compared],
                             [("whole-0.22", 6)] if dataset == "cifar10" else [])
            self.assertEqual([task.run.at["size"] for task in as_users], ["0.3"] if dataset == "cifar10" else [])
            for task in peers:
                self.assertEqual(len(task.steps), 6 if task in compared else 2, task.name)
                self.assertIn(f"group-norm-macs-local-{'users' if task in as_users else 'ours'}-s0", task.steps)

    def test_shows_what_narrower_blocks_are_worth(self):
        front, whole = (runs(self.plan.tasks(study, "cifar10")) for study in ("front", "whole"))
        front = [task for task in front if task.at["size"] != "macs-0.44" and task.seed == 0]
        self.assertEqual([task.at["size"] for task in whole], [f"whole-{task.at['size']}" for task in front])
        for task, other in zip(whole, front):
            self.assertEqual(task.at["blocks"], "whole")
            self.assertEqual(task.search.targets, other.search.targets)
            self.assertEqual(task.search.words, ("search.block_percent=[100]",))
            self.assertIn("search.block_percent=[100]", task.search.commands(Options("mfi"))[0])
            self.assertNotIn("blocks", other.at)
            self.assertEqual(other.search.words, ("hybrid.distillation=0.9", "hybrid.temperature=4"))

    def test_trains_a_thin_network_for_longer_too(self):
        tasks = {task.name: task for task in runs(self.plan.tasks("depgraph", "cifar10"))}
        usual, longer = (tasks[f"cifar10-resnet56/front/macs-0.469-{name}s0"] for name in ("", "e20-"))
        self.assertEqual((usual.at["fine_tuning"], longer.at["fine_tuning"]), (5, 20))
        self.assertEqual(usual.recipe, longer.recipe)
        self.assertEqual(longer.steps, ("map", "hybrid"))

    def test_has_three_seeds_in_front_and_ablation_and_one_elsewhere(self):
        for study in ("front", "whole", "ablation", "epochs", "labels", "depgraph"):
            seeds = {task.seed for task in runs(self.plan.tasks(study, "cifar10")) if getattr(task, "at", None)}
            self.assertEqual(seeds, {0, 1, 2} if study in ("front", "ablation") else {0}, study)
        self.plan.seeds = [2]
        self.assertEqual(self.plan.tasks("labels", "cifar10"), [])
        self.assertEqual({task.seed for task in self.plan.tasks("front", "cifar10")}, {2})

    def test_prunes_with_one_seed(self):
        for study in ("peers", "epochs", "labels"):
            self.assertEqual({task.run.seed for task in self.plan.tasks(study, "cifar10") if isinstance(task, PeersTask)}, {0})

    def test_makes_peers_behind_each_run_of_labels_and_of_one_size_of_epochs(self):
        for study, sizes in (("epochs", {"whole-0.3": True, "whole-0.2": False, "0.3": False, "0.22": False}), ("labels", {"whole-0.22": True})):
            tasks = self.plan.tasks(study, "cifar10")
            for task, following in zip(tasks, tasks[1:] + [None]):
                if isinstance(task, PeersTask):
                    self.assertEqual(task.steps, ("group-norm-params-local-ours-s0",))
                else:
                    self.assertEqual(getattr(following, "run", None) is task, sizes[task.at["size"]], task.name)

    # study.py makes the larger one of the two.
    def test_asks_for_no_peers_beside_the_fronts_where_runs_are_shared(self):
        wanted = {task.name: set(task.steps) for task in self.plan.tasks("whole", "cifar10")
                  if isinstance(task, PeersTask) and not task.name.endswith("compared")}
        shared = [task for study in ("epochs", "labels") for task in self.plan.tasks(study, "cifar10")
                  if isinstance(task, PeersTask) and task.name in wanted]
        self.assertEqual([task.name for task in shared], [f"cifar10/whole/whole-{size}-s0/peers" for size in ("0.3", "0.22")])
        for task in shared:
            self.assertLess(set(task.steps), wanted[task.name], task.name)

    def test_knows_which_datasets_a_study_is_made_with(self):
        self.assertEqual(self.plan.datasets("front"), ["cifar10", "cifar100"])
        self.assertEqual(self.plan.datasets("labels"), ["cifar10"])
        self.assertEqual(self.plan.datasets("labels", ["cifar100"]), ["cifar100"])
        with self.assertRaises(StudyError):
            self.plan.datasets("depgraph", ["cifar100"])


class CarryingOut(InAFolder):
    FRONT = ("front", "--dataset", "cifar10", "--seeds", "0", "--only", "0.3-s0")

    def test_leaves_what_is_done_alone(self):
        self.sized("0.3")
        first = self.study(*self.FRONT)
        self.assertEqual(first.returncode, 0, first.stderr)
        calls = len(self.calls())
        self.assertEqual(self.study(*self.FRONT).returncode, 0)
        self.assertEqual(len(self.calls()), calls)
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "done"})

    def test_goes_on_with_what_was_stopped(self):
        self.sized("0.3")
        stopped = self.study(*self.FRONT, MADE_UP_STOP="no-mapping")
        self.assertEqual(stopped.returncode, 76)
        self.assertIn("mfi: no-mapping: the loss is not finite", stopped.stderr)
        self.assertRegex(stopped.stderr, r"study.py: cifar10/front/0.3-s0: ended after \d+ s with exit code 76")
        self.assertEqual(self.states(*self.FRONT)["cifar10/front/0.3-s0"],
                         "begun (not yet: no-mapping, regression-hybrid, smaller-resnet, distilled-resnet)")
        self.assertEqual(self.study(*self.FRONT).returncode, 0)
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "done"})

    def test_prunes_before_the_network_beside_it_is_fine_tuned(self):
        self.sized("0.3")
        self.assertEqual(self.study(*self.FRONT, MADE_UP_STOP="hybrid").returncode, 76)
        peers = ("peers", "--dataset", "cifar10", "--seeds", "0", "--only", "0.3-s0/peers")
        self.assertEqual(self.states(*peers), {"cifar10/front/0.3-s0/peers": "missing", "cifar10/front/0.3-s0/peers-as-users": "missing"})
        done = self.study(*peers)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.states(*peers), {"cifar10/front/0.3-s0/peers": "done", "cifar10/front/0.3-s0/peers-as-users": "done"})
        self.assertEqual(self.states(*self.FRONT)["cifar10/front/0.3-s0"].split(",")[0], "begun (not yet: hybrid")

    def test_says_which_study_comes_first(self):
        done = self.study(*self.FRONT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("sizes/0.3.toml; the study 'search' makes it", done.stderr)
        self.assertEqual(self.calls(), [])

    def test_keeps_what_each_search_has_chosen(self):
        done = self.study("search", "--dataset", "cifar10")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([call[0] for call in self.calls()], ["search"] * len(read_experiments()["sizes"]))
        for size, point in (("whole-0.6", "point-6"), ("whole-0.3", "point-3"), ("whole-0.2", "point-1")):
            kept = json.loads((self.out / f"cifar10/sizes/{size}.json").read_text())
            self.assertEqual(kept["chosen"]["name"], point)
            self.assertEqual((self.out / f"cifar10/sizes/{size}.toml").read_text(),
                             (self.out / f"cifar10/search/{point}.toml").read_text())
        self.assertEqual(set(self.states("search", "--dataset", "cifar10").values()), {"done"})

    def test_reads_a_recipe_with_what_it_extends(self):
        with tempfile.TemporaryDirectory() as folder:
            base, own = Path(folder) / "base/b.toml", Path(folder) / "x.toml"
            base.parent.mkdir()
            base.write_text('name = "base"\nseed = 3\n[teacher]\nepochs = 5\nbatch_size = 32\n')
            own.write_text('extends = "base/b.toml"\n[teacher]\nepochs = 6\n[map]\nepochs = 7\n')
            self.assertEqual(run_files.read_recipe(own),
                             {"seed": 3, "teacher": {"epochs": 6, "batch_size": 32}, "map": {"epochs": 7}})
            base.unlink()
            with self.assertRaises(StudyError) as caught:
                run_files.read_recipe(own)
            self.assertIn("b.toml: there is no such recipe, though another one extends it", str(caught.exception))

    def test_a_recipe_that_extends_itself_is_no_recipe(self):
        with tempfile.TemporaryDirectory() as folder:
            own, other = Path(folder) / "a.toml", Path(folder) / "b.toml"
            own.write_text('extends = "b.toml"\n')
            other.write_text('extends = "a.toml"\n')
            with self.assertRaises(StudyError) as caught:
                run_files.read_recipe(own)
            self.assertIn("a.toml: this recipe extends itself", str(caught.exception))

    def test_notices_other_settings(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        recipe = self.out / "cifar10/front/0.3-s0/recipe.toml"
        recipe.write_text(recipe.read_text().replace("distillation = 0.9", "distillation = 0.5"))
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "begun (with other settings: hybrid.distillation)"})

    def test_believes_no_results_of_steps_that_are_gone_or_made_anew(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        record = self.out / "cifar10/front/0.3-s0/no-mapping/step.json"
        text = record.read_text()
        record.write_text(text.replace('"fingerprint": "0"', '"fingerprint": "1"'))
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "begun (not yet: no-mapping)"})
        record.unlink()
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "begun (not yet: no-mapping)"})
        record.write_text(text)
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "done"})

    def test_notices_that_a_size_was_chosen_for_another_target(self):
        self.sized("0.3")
        kept = self.out / "cifar10/sizes/0.3.json"
        kept.write_text(kept.read_text().replace("params=0.3 macs=0.5", "params=0.3"))
        self.assertEqual(self.states("search", "--dataset", "cifar10", "--only", "search-0.3"),
                         {"cifar10/search-0.3": "begun (for another target: params=0.3)"})

    def test_notices_a_trial_on_few_images(self):
        teacher = ("teacher", "--dataset", "cifar10")
        subprocess.run([MFI, "run", SOURCE / "recipes/cifar10-resnet34-w16.toml", "--only", "teacher", "--set", "data.limit=100",
                        "--out", self.out / "cifar10"], env=self.environment, check=True)
        self.assertEqual(self.states(*teacher), {"cifar10/teacher": "begun (with other settings: data.limit)"})
        self.assertEqual(self.study(*teacher).returncode, 0)
        self.assertEqual(self.states(*teacher), {"cifar10/teacher": "done"})

    def test_notices_that_another_network_was_chosen_since(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        recipe = self.out / "cifar10/sizes/0.3.toml"
        recipe.write_text(recipe.read_text().replace("blocks = [2, 3, 2, 0]", "blocks = [1, 3, 2, 0]"))
        self.assertEqual(self.states(*self.FRONT), {"cifar10/front/0.3-s0": "begun (with other settings: pipeline.blocks)"})

    def test_notices_that_a_recipe_makes_another_network_than_was_chosen(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        kept = self.out / "cifar10/sizes/0.3.json"
        value = json.loads(kept.read_text())
        value["chosen"]["parameters"] -= 10
        kept.write_text(json.dumps(value))
        self.assertEqual(self.states(*self.FRONT), {
            "cifar10/front/0.3-s0": "begun (map is not the network that was chosen: 290000 parameters, 20300000 MACs, expected 289990 "
                                    "and 20300000)"})

    def test_lets_an_ablation_change_the_network(self):
        self.sized("whole-0.2")
        words = ("ablation", "--dataset", "cifar10", "--seeds", "0", "--only", "ablation/deeper")
        self.study(*words)
        kept = self.out / "cifar10/sizes/whole-0.2.json"
        kept.write_text(kept.read_text().replace('"parameters": ', '"parameters": 1'))
        self.assertEqual(self.states(*words), {"cifar10/ablation/deeper-s0": "done"})

    def test_asks_for_no_mapping_by_regression_without_a_flow_stage(self):
        study = ("search", "front", "--dataset", "cifar10", "--seeds", "0", "--only", "0.6")
        before = self.study(*study, "--list").stdout
        self.assertIn("controls.regression=true", before)  # not known yet
        done = self.study(*study)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("controls.regression=false", self.calls()[-1])
        self.assertEqual(self.states(*study)["cifar10/front/0.6-s0"], "done")
        self.sized("0.2")
        self.study("front", "--dataset", "cifar10", "--seeds", "0", "--only", "0.2-s0")
        self.assertIn("controls.regression=true", self.calls()[-1])

    def test_notices_that_a_run_was_built_on_another_teacher(self):
        self.sized("0.3")
        study = ("front", "--dataset", "cifar10", "--seeds", "1", "--only", "0.3-s1")
        self.study(*study)
        file = self.out / "cifar10/front/0.3-s1/results.json"
        text = file.read_text()
        self.assertIn('"teacher 1"', text)  # another file than "teacher 0", with the same answers
        self.assertEqual(set(self.states(*study).values()), {"done"})
        teacher, hybrid = text.split('"step": "map"')
        for was, now in (('"test_top1_percent": 92', '"test_top1_percent": 91.9'), ('"test_loss": 0.5', '"test_loss": 0.5001')):
            self.assertIn(was, teacher)
            file.write_text(f'{teacher.replace(was, now)}"step": "map"{hybrid}')
            self.assertEqual(self.states(*study), {"cifar10/front/0.3-s1": "begun (built on another teacher)"})
        file.write_text(file.read_text().replace('"teacher 1"', '"teacher 0"'))
        self.assertEqual(set(self.states(*study).values()), {"done"})

    def test_notices_that_a_size_was_chosen_with_another_teacher(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        kept = self.out / "cifar10/sizes/0.3.json"
        text = kept.read_text()
        kept.write_text(text.replace('"teacher 0"', '"teacher 5"'))
        self.assertEqual(self.states("search", "--dataset", "cifar10", "--only", "search-0.3"),
                         {"cifar10/search-0.3": "begun (with another teacher)"})
        self.assertEqual(self.states(*self.FRONT),
                         {"cifar10/front/0.3-s0": "begun (cifar10/search-0.3 is begun (with another teacher))"})
        self.assertIn("search-0.3 is begun (with another teacher); the study 'search' makes it", self.study(*self.FRONT).stderr)
        self.sized("0.3")
        self.assertEqual(set(self.states(*self.FRONT).values()), {"done"})
        kept.write_text(text.replace('"teacher_sha256"', '"before"'))  # from before it was noted
        self.assertEqual(set(self.states(*self.FRONT).values()), {"done"})

    def test_builds_nothing_on_a_teacher_that_is_gone(self):
        self.sized("0.3")
        self.study(*self.FRONT)
        (self.out / "cifar10/teacher/step.json").unlink()
        self.assertEqual(self.states(*self.FRONT),
                         {"cifar10/front/0.3-s0": "begun (cifar10/search-0.3 is begun (its teacher is begun))"})

    def test_does_not_mind_controls_that_another_study_has_added(self):
        self.sized("whole-0.3")
        self.study("whole", "--dataset", "cifar10", "--seeds", "0", "--only", "whole-0.3-s0")
        of_epochs = ("epochs", "--dataset", "cifar10", "--seeds", "0", "--only", "whole/")
        self.assertEqual(self.states(*of_epochs)["cifar10/whole/whole-0.3-s0"], "done")

    def test_makes_a_run_that_two_studies_want_with_the_controls_of_both(self):
        listed = self.study("epochs", "whole", "--dataset", "cifar10", "--seeds", "0", "--only", "whole/whole-0.3-s0",
                            "--skip", "peers", "--list").stdout
        self.assertEqual(listed.count("cifar10/whole/whole-0.3-s0:"), 1)
        self.assertIn("controls.regression=true", listed)

    def test_prunes_where_the_front_is_done(self):
        self.sized("0.3")
        peers = ("peers", "--dataset", "cifar10", "--seeds", "0", "--only", "0.3-s0")
        early = self.study(*peers)
        self.assertIn("the run cifar10/front/0.3-s0 has no mapped network yet; the study 'front' makes it", early.stderr)
        self.study(*self.FRONT)
        shutil.rmtree(self.out / "cifar10/front/0.3-s0/distilled-resnet")  # no peer waits for the controls
        done = self.study(*peers)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = {"cifar10/front/0.3-s0/peers": "done", "cifar10/front/0.3-s0/peers-as-users": "done"}
        self.assertEqual(self.states(*peers), done)
        one = self.out / "cifar10/front/0.3-s0/peers/group-norm-macs-local-ours-s0.json"
        begun = done | {"cifar10/front/0.3-s0/peers": "begun (not yet: group-norm-macs-local-ours-s0)"}
        text = one.read_text()
        for was, now in (('"epochs": 6', '"epochs": 7'), ('"distillation": 0.9', '"distillation": 0.0'), ('teacher 0', 'teacher 1'),
                         ('"limit": ', '"limit": 1'), ('"data_fingerprint": "1"', '"data_fingerprint": "2"'),
                         ('"training_images": 50000', '"training_images": 100'), ('"validation": 0', '"validation": 0.1'),
                         ('"data_seed": 0', '"data_seed": 1'), ('"precision": "bf16"', '"precision": "fp32"'),
                         ('"scope": "local", "recipe": "ours", "pre', '"scope": "global", "recipe": "ours", "pre'),
                         ('"recipe": "ours", "pre', '"recipe": "users", "pre'),
                         ('"precision": "bf16", ', "")):
            self.assertIn(was, text)
            one.write_text(text.replace(was, now))
            self.assertEqual(self.states(*peers), begun, now)
        one.unlink()
        self.assertEqual(self.states(*peers), begun)

    def test_prunes_behind_the_runs_of_few_labels_and_epochs(self):
        self.sized("whole-0.22")
        study = ("labels", "epochs", "--dataset", "cifar10", "--seeds", "0", "--only", "0.1-d0-s0")
        done = self.study(*study)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.states(*study), {"cifar10/labels/0.1-d0-s0": "done", "cifar10/labels/0.1-d0-s0/peers": "done"})
        one = self.out / "cifar10/labels/0.1-d0-s0/peers/group-norm-params-local-ours-s0.json"
        self.assertEqual(json.loads(one.read_text())["settings"]["epochs"], 51)
        one.write_text(one.read_text().replace('"labelled": 0.1', '"labelled": 1'))
        self.assertEqual(self.states(*study)["cifar10/labels/0.1-d0-s0/peers"], "missing")

    def test_makes_peers_that_two_studies_want_once_and_all_of_them(self):
        for studies in (("whole", "labels"), ("labels", "whole")):
            listed = self.study(*studies, "--dataset", "cifar10", "--seeds", "0", "--only", "whole-0.22-s0/peers", "--list").stdout
            self.assertEqual([re.search("--methods .* --scope", line)[0] for line in listed.splitlines() if "run.sh" in line],
                             ["--methods group-norm --match both --scope", "--methods group-norm,bn-scale,random --match macs --scope"])

    def test_trains_a_network_once_that_was_chosen_for_two_sizes(self):
        self.study("search", "--dataset", "cifar10")
        whole = ("whole", "--dataset", "cifar10", "--seeds", "0")
        self.assertEqual(len(self.states(*whole)), 8)
        self.choose_the_same("whole-0.3", "whole-0.22")
        states = self.states(*whole)
        self.assertEqual(len(states), 6)
        self.assertFalse([name for name in states if "0.22" in name])
        listed = self.study(*whole, "--only", "0.3-s0", "--list").stdout
        self.assertIn("--methods group-norm,bn-scale,random", listed)  # what is compared at 0.22
        labels = self.study("labels", "--seeds", "0", "--list", "--only", "labels/0.1-d0-s0").stdout
        self.assertIn("sizes/whole-0.3.toml", labels)
        self.assertEqual(list(self.states("labels", "--seeds", "0", "--only", "whole")), [
            "cifar10/whole/whole-0.3-s0", "cifar10/whole/whole-0.3-s0/peers"])

    def test_trains_a_network_once_where_no_narrower_one_was_better(self):
        self.study("search", "--dataset", "cifar10")
        self.choose_the_same("0.22", "whole-0.22")
        self.assertFalse([name for name in self.states("whole", "--dataset", "cifar10", "--seeds", "0") if "0.22" in name])
        listed = self.study("peers", "--dataset", "cifar10", "--only", "0.22-s0", "--list").stdout
        self.assertIn("--methods group-norm,bn-scale,random", listed)

    def choose_the_same(self, size, other):
        one, file = (self.out / f"cifar10/sizes/{each}.json" for each in (size, other))
        file.write_text(json.dumps(json.loads(file.read_text()) | {"chosen": json.loads(one.read_text())["chosen"]}))

    def test_searches_anew_where_it_is_asked_with_fewer_settings(self):
        self.sized("whole-0.3")
        kept = self.out / "cifar10/sizes/whole-0.3.json"
        self.assertEqual(json.loads(kept.read_text())["asked"], ["search.block_percent=[100]"])
        words = ("search", "--dataset", "cifar10", "--only", "search-whole-0.3")
        self.assertEqual(self.states(*words), {"cifar10/search-whole-0.3": "done"})
        kept.write_text(kept.read_text().replace("search.block_percent=[100]", "search.images=9"))
        self.assertEqual(self.states(*words),
                         {"cifar10/search-whole-0.3": "begun (asked with other settings: search.images=9)"})

    def test_trains_such_a_network_once_though_it_is_chosen_in_the_same_call(self):
        study = ("teacher", "search", "front", "--dataset", "cifar10", "--seeds", "0")
        done = self.study(*study, MADE_UP_NETWORKS="few")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([call[-1].rsplit("/")[-1] for call in self.calls() if "sizes" in call[1]],
                         ["0.6-s0", "0.4-s0", "0.3-s0", "0.22-s0", "macs-0.44-s0"])
        epochs = self.states("epochs", "--dataset", "cifar10", "--seeds", "0", "--skip", "peers")
        self.assertIn("cifar10/epochs/whole-0.22-e1-s0", epochs)
        self.assertFalse([name for name in epochs if "/0.2-" in name])

    def test_says_when_no_run_has_such_a_seed(self):
        done = self.study("peers", "--seeds", "1,2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("peers: no run with seeds 1, 2; experiments.toml says which seeds a study has", done.stderr)

    def test_lists_commands_that_a_shell_can_carry_out(self):
        wanted = ("teacher", "search", "front", "peers", "whole", "labels", "--dataset", "cifar10", "--seeds", "0")
        listed = self.study(*wanted, "--list").stdout
        for line in listed.splitlines():
            if line.startswith("    "):
                done = subprocess.run(["bash", "-c", line], cwd=SOURCE, env=self.environment, capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, f"{line}\n{done.stderr}")
        self.assertEqual(set(self.states(*wanted).values()), {"done"})
        self.assertIn("43 runs: 43 done", self.study(*wanted, "--list").stdout)

    def test_can_do_without_some_of_them(self):
        study = ("labels", "--dataset", "cifar10", "--seeds", "0", "--only", "0.1-d0-s0", "--skip", "peers")
        self.assertEqual(self.states(*study), {"cifar10/labels/0.1-d0-s0": "missing"})

    def test_leaves_the_environment_as_it_is(self):
        program, found = self.folder / "mfi", self.folder / "found"
        program.write_text(f'#!/bin/sh\necho "${{OMP_WAIT_POLICY-unset}}" >> {found}\nexec {MFI} "$@"\n')
        program.chmod(0o755)
        for value in ({}, {"OMP_WAIT_POLICY": "active"}):
            environment = {key: each for key, each in self.environment.items() if key != "OMP_WAIT_POLICY"} | value
            done = subprocess.run([sys.executable, HERE / "study.py", program, "teacher", "--dataset", "cifar10", "--out",
                                   self.folder / f"out-{len(value)}"], capture_output=True, text=True, cwd=SOURCE, env=environment)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(found.read_text().split(), ["unset", "active"])

    def test_hands_on_data_and_threads(self):
        self.study("teacher", "--dataset", "cifar100", "--data", "/data", "--threads", "3")
        self.assertEqual(self.calls(), [["run", "recipes/cifar100-resnet34-w16.toml", "--only", "teacher", "--data", "/data",
                                         "--set", "runtime.threads=3", "--out", str(self.out / "cifar100")]])

    def test_lists_for_a_program_that_reads_the_first_line_alone(self):
        with subprocess.Popen(self.words("ablation", "labels", "epochs", "--list"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=SOURCE, env=self.environment) as process:
            self.assertIn("ablation/meanflow-s0", process.stdout.readline())
            process.stdout.close()
            self.assertEqual(process.stderr.read(), "")
        self.assertEqual(process.returncode, 0)

    def test_refuses_what_it_does_not_know(self):
        self.assertEqual(self.study("magic").returncode, 2)
        self.assertIn("invalid choice: 'magic'", self.study("magic").stderr)
        self.assertIn("--only 0.9: no run of front has such a name", self.study("front", "--only", "0.9", "--list").stderr)
        self.assertIn("depgraph is made with cifar10 alone", self.study("depgraph", "--dataset", "cifar100").stderr)



class Chosen(InAFolder):
    def test_needs_a_network_that_was_small_enough(self):
        run = self.folder / "run"
        with self.assertRaises(StudyError) as caught:
            keep_chosen(run, "0.1")
        self.assertIn("there is none; run `mfi search` first", str(caught.exception))
        subprocess.run([MFI, "search", SOURCE / "recipes/cifar10-resnet34-w16.toml", "--target", "params=0.1", "--out", run],
                       env=self.environment, check=True)
        with self.assertRaises(StudyError) as caught:
            keep_chosen(run, "0.1")
        self.assertIn("no network was chosen for params=0.1", str(caught.exception))
        self.assertFalse((run / "sizes").exists())


class RunFiles(InAFolder):
    def test_that_are_damaged_are_named(self):
        (self.folder / "results.json").write_text("{")
        with self.assertRaises(StudyError) as caught:
            run_files.step_records(self.folder)
        self.assertIn("results.json: cannot be read", str(caught.exception))

    def test_give_steps_with_their_times_where_there_are_any(self):
        self.assertEqual(run_files.step_records(self.folder), ({}, None))
        (self.folder / "map").mkdir()
        for file, text in (("results.json", '{"steps": [{"step": "map", "fingerprint": "a"}]}'),
                           ("map/step.json", '{"step": "map", "fingerprint": "a"}')):
            (self.folder / file).write_text(text)
        self.assertIsNone(run_files.step_records(self.folder)[0]["map"]["seconds"])
        (self.folder / "timing.json").write_text('{"map": {"seconds": 3.5}}')
        self.assertEqual(run_files.step_records(self.folder)[0]["map"]["seconds"], 3.5)

    def test_give_the_accuracy_on_held_out_images_after_the_last_epoch(self):
        record, file = {"step": "hybrid", "epochs": 2}, self.folder / "hybrid/metrics.csv"
        self.assertIsNone(run_files.held_out_percent(self.folder, record))
        file.parent.mkdir()
        text = "epoch,loss,validation_top1_percent,validation_loss\n1,2,40.5,1\n2,1,41.25,1\n"
        for written, percent in ((text, 41.25), (text.rsplit("2,1", 1)[0], None), ("epoch,loss\n1,2\n2,1\n", None), ("", None),
                                 (text.replace("validation_top1_percent", "validation_stage4_error_1step"), None)):
            file.write_text(written)
            self.assertEqual(run_files.held_out_percent(self.folder, record), percent, written)
        file.write_text(text.replace("41.25", "x"))
        with self.assertRaises(StudyError) as caught:
            run_files.held_out_percent(self.folder, record)
        self.assertIn("hybrid/metrics.csv: cannot be read", str(caught.exception))

    def test_settings_are_toml_or_texts_without_quotes(self):
        self.assertEqual(run_files.read_settings(["a.b=1e-3", "c=[1, 2]", "d=true", "e=sgd"]),
                         {"a.b": 1e-3, "c": [1, 2], "d": True, "e": "sgd"})

    def test_settings_differ_by_value_and_not_by_how_they_are_written(self):
        own = {"a": 1.0, "b": [3], "name": "x", "controls.no_mapping": True, "search.epochs": 1}
        same = {"a": 1, "b": 3, "name": "y", "controls.no_mapping": False, "search.epochs": 2}
        self.assertEqual(run_files.differences(same, own), [])
        self.assertEqual(run_files.differences({"a": 2, "b": [3, 3], "c": 0}, own), ["a", "b", "c"])


if __name__ == "__main__":
    run_tests()
