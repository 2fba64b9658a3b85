#!/usr/bin/env python3
"""Tests of report.py: figures of made-up runs, tables, sentences, charts, and putting them into pages."""
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]
sys.dont_write_bytecode = True
import charts  # noqa: E402
import line_chart  # noqa: E402
import pages  # noqa: E402
import tables  # noqa: E402
import verdicts  # noqa: E402
from errors import StudyError  # noqa: E402
from figures import CONTROLS, PRUNED, Study, peer_step  # noqa: E402
from made_up_folder import SOURCE, made_up_environment, run_tests  # noqa: E402
from run_files import read_recipe  # noqa: E402
from svg import METHODS, lighter  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
SECTIONS = {"results.md": ("front-cifar10", "front-cifar100", "epochs-cifar10", "labels-cifar10", "depgraph-cifar10"),
            "method.md": ("ablation-cifar10",)}


def row(step, *percents, size="0.3", parameters=300, macs=400, epochs=51, by="mfi", held_out=(), **at):
    count = len(percents)
    return {"run": "r", "step": step, "size": size, **at, "by": by, "network": "", "epochs": epochs, "seeds": list(range(count)),
            "parameters": [parameters] * count, "macs": [macs] * count, "test_top1_percent": list(percents),
            "test_loss": [0.5] * count, "held_out_top1_percent": list(held_out) or [None] * count, "seconds": [60.0] * count,
            "machines": ["CPU, 2 threads"] if by == "mfi" else ["x86_64, 2 threads"],
            "versions": ["mfi 0.1.0"] if by == "mfi" else ["Torch-Pruning 1.6.1"]}


def peer(method, match, *percents, scope="local", recipe="ours", **at):
    kind = {"method": method, "match": match, "scope": scope, "recipe": recipe}
    return row(peer_step(kind), *percents, by="Torch-Pruning", **kind, **at)


def study(name, rows, **changes):
    return Study({"study": name, "dataset": "cifar10", "settings": {}, "training_images": [50000], "test_images": 10000,
                  "held_out_images": 2000 if name == "ablation" else 0, "chosen": {}, "same_network": {}, "no_flow_stage": [],
                  "published": [], "base": None, "asked": {}, "runs": 9, "missing": [], "figures": list(rows)} | changes)


def variant(step, percent, name, group, held_out=None, **at):
    held_out = [held_out or percent]
    return row(step, percent, variant=name, group=group, about=f"about {name}", size="0.2", held_out=held_out, **at)


TEACHER = {key: value for key, value in row("teacher", 92.0, parameters=1000, macs=1000, epochs=45).items() if key != "size"}
LONGER = row("teacher-longer", 92.2, 92.4, parameters=1000, macs=1000)


def front(*rows, **changes):
    return study("front", [TEACHER, LONGER, *rows], **changes)


PEERS_ASKED = [{"method": "random", "match": match, "scope": "local", "recipe": "ours"} for match in ("params", "macs")]
ALL_ASKED = {"0.3": ["map", "hybrid", *CONTROLS, *PEERS_ASKED], "whole-0.3": ["map", "hybrid", "no-mapping", "regression-hybrid"]}


def text_of(a_study):
    return " ".join(" ".join(verdicts.verdict(a_study)).split())


class FrontVerdict(unittest.TestCase):
    def test_holds_the_hybrid_against_its_teacher_trained_as_long(self):
        text = text_of(front(row("hybrid", 91.8, 92.0)))
        self.assertIn("At 30 % of the parameters and 40 % of the multiply-accumulates the hybrid reaches 91.90 %, 0.40 points behind "
                      "teacher-longer, within chance.", text)
        text = text_of(front(row("hybrid", 89.9, 90.1)))
        self.assertIn("2.30 points behind teacher-longer, more than chance gives.", text)

    def test_tells_networks_of_whole_blocks_from_the_others(self):
        rows = [row("hybrid", 91.0), row("hybrid", 90.0, size="whole-0.3", parameters=280, blocks="whole"),
                row("no-mapping", 89.9, size="whole-0.3", parameters=280, blocks="whole")]
        text = text_of(front(*rows, asked=ALL_ASKED))
        self.assertIn("At 30 % of the parameters and 40 % of the multiply-accumulates the hybrid reaches 91.00 %", text)
        self.assertIn("At 28 % of the parameters and 40 % of the multiply-accumulates the hybrid of whole blocks reaches 90.00 %", text)
        self.assertIn("Not run: regression-hybrid.", text)  # and no more: nothing else is asked for there
        lines = tables.table(front(*rows, asked=ALL_ASKED)).splitlines()
        self.assertIn("| whole-0.3 | regression-hybrid | mfi | - | - | - | - | - | - | not run | - |", lines)
        self.assertFalse([line for line in lines if "| whole-0.3 | smaller-resnet" in line])
        self.assertIn(">hybrid of whole blocks<", charts.chart(front(*rows)))
        self.assertNotIn("whole blocks", charts.chart(front(row("hybrid", 91.0))))

    def test_takes_differences_over_the_seeds_that_both_have(self):
        other = row("no-mapping", 60.0, 88.6, 88.5) | {"seeds": [7, 1, 2]}
        text = text_of(front(row("hybrid", 90.0, 90.2, 90.1), other))
        self.assertIn("Behind it by more than chance gives: no-mapping by 1.60 points over seeds 1, 2.", text)
        self.assertIn("90.10 %, 2.20 points behind teacher-longer over seeds 0, 1, more", text)
        text = text_of(front(row("hybrid", 91.0, 92.0), other | {"seeds": [3, 4, 5]}))
        self.assertIn("Without a seed in common with it: no-mapping.", text)
        # The teacher is one for all seeds.
        text = text_of(study("front", [TEACHER, row("hybrid", 91.0) | {"seeds": [2]}]))
        self.assertIn("1.00 points behind the teacher, more than chance gives", text)

    def test_calls_chance_what_the_seeds_do_not_tell_apart(self):
        text = text_of(front(row("hybrid", 92.0, 92.0, 92.0), row("no-mapping", 90.9, 91.0, 91.1)))
        self.assertIn("Behind it by more than chance gives: no-mapping by 1.00 points.", text)
        text = text_of(front(row("hybrid", 93.0, 92.0, 91.0), row("no-mapping", 91.0, 90.0, 92.0)))
        self.assertIn("As good as it, within chance: no-mapping (1.00 points behind).", text)

    def test_falls_back_on_the_teacher_and_says_so(self):
        text = text_of(study("front", [TEACHER, row("hybrid", 92.1)]))
        self.assertIn("0.10 points ahead of the teacher, within chance; teacher-longer has not been run.", text)

    def test_names_every_control_that_does_as_well_or_better(self):
        text = text_of(front(row("hybrid", 91.0), row("no-mapping", 90.9), row("regression-hybrid", 91.0),
                             row("smaller-resnet", 89.0), row("distilled-resnet", 91.2), peer("bn-scale", "params", 93.0)))
        self.assertIn("Better than the hybrid: distilled-resnet by 0.20 points (within chance) and bn-scale local to its "
                      "parameters by 2.00 points (more than chance gives).", text)
        self.assertIn("As good as it, within chance: no-mapping (0.10 points behind) and regression-hybrid.", text)
        self.assertIn("Behind it by more than chance gives: smaller-resnet by 2.00 points.", text)
        self.assertNotIn("Not run", text)

    def test_names_what_was_not_run(self):
        rows = [row("hybrid", 91.0), row("no-mapping", 90.9)]
        self.assertIn("Not run: regression-hybrid, smaller-resnet, distilled-resnet and Torch-Pruning.",
                      text_of(front(*rows, asked=ALL_ASKED)))
        text = text_of(front(*rows, peer("random", "macs", 50.0), asked=ALL_ASKED))
        self.assertIn("Not run: regression-hybrid, smaller-resnet, distilled-resnet and random local to its parameters.", text)
        both = [peer("random", match, 50.0) for match in ("params", "macs")]
        self.assertIn("Not run: regression-hybrid, smaller-resnet and distilled-resnet.", text_of(front(*rows, *both, asked=ALL_ASKED)))
        self.assertNotIn("Not run", text_of(front(*rows, asked={"0.3": ["map", "hybrid", "no-mapping"]})))

    def test_tells_what_has_no_sense_without_a_flow_stage(self):
        text = text_of(front(row("hybrid", 91.0), row("no-mapping", 90.9), no_flow_stage=["0.3"]))
        self.assertIn("Without a flow stage the hybrid itself: regression-hybrid.", text)

    def test_compares_within_a_size(self):
        text = text_of(front(row("hybrid", 91.0), row("hybrid", 88.0, size="0.2", parameters=200),
                             row("no-mapping", 91.5, size="0.2")))
        first, second = text.split("At 20 %")
        self.assertNotIn("no-mapping by", first)
        self.assertIn("Better than the hybrid: no-mapping by 3.50 points", second)


class Aim(unittest.TestCase):
    AIM = {"params": 0.3, "macs": 0.5, "points": 0.2}

    def test_is_said_to_be_missed_by_how_much_and_what_larger_ones_reach(self):
        small = [row("hybrid", 91.0, 91.2), row("hybrid", 90.5, 90.7, size="0.2", parameters=200)]
        text = text_of(front(*small, row("hybrid", 92.1, 92.2, size="0.6", parameters=600), aim=self.AIM))
        self.assertIn("The aim is to be within 0.2 points of teacher-longer with at most 30 % of the parameters and 50 % of the "
                      "multiply-accumulates. It is missed: the nearest, of 30 and 40 %, is 1.20 points behind. Larger ones are within "
                      "it: 60 and 40 %.", text)
        self.assertIn("points behind. No larger one is within it either.",
                      text_of(front(*small, row("hybrid", 92.0, 92.0, size="0.6", parameters=600), aim=self.AIM)))

    def test_is_said_to_be_reached_and_over_which_seeds(self):
        text = text_of(front(row("hybrid", 92.1), row("hybrid", 91.9, size="0.6", parameters=600), aim=self.AIM))
        self.assertTrue(text.endswith("It is reached with 30 and 40 % over seed 0."), text)
        text = text_of(front(row("hybrid", 92.1), row("hybrid", 92.4, size="0.6", parameters=600), aim=self.AIM))
        self.assertIn("So it is with larger ones, of 60 and 40 % over seed 0.", text)

    def test_is_left_out_where_there_is_nothing_to_hold_against_it(self):
        self.assertNotIn("The aim", text_of(study("front", [TEACHER, row("hybrid", 92.1)], aim=self.AIM)))
        self.assertIn("No network of that size is there.", text_of(front(row("hybrid", 92.1, parameters=600), aim=self.AIM)))
        self.assertNotIn("The aim", text_of(front(row("hybrid", 92.1))))


class OtherVerdicts(unittest.TestCase):
    def test_say_after_how_many_epochs_mapping_still_gains(self):
        at = [(0, 50.0, 71.0), (1, 90.0, 85.0), (5, 91.0, 90.9), (20, 90.0, 93.0)]
        rows = [row("hybrid", mapped, fine_tuning=epochs) for epochs, mapped, _ in at]
        rows += [row("no-mapping", control, fine_tuning=epochs) for epochs, _, control in at]
        text = text_of(study("epochs", rows))
        self.assertIn("as mapped the network is right for 50.00 % of the test images. Mapped", text)
        self.assertIn("Mapped is ahead of not mapped by more than chance gives after 1 epoch (+5.00 points).", text)
        self.assertIn("No-mapping does as well, within chance, after 5 epochs (+0.10 points).", text)
        self.assertIn("No-mapping does better, by more than chance gives, after 0 epochs (-21.00 points) and after 20 epochs (-3.00 "
                      "points).", text)

    def test_hold_the_mapped_against_the_pruned_too(self):
        rows = [each for epochs, mapped, pruned in ((1, 90.0, 80.0), (5, 91.0, 91.1), (20, 90.0, 92.0)) for each in
                (row("hybrid", mapped, fine_tuning=epochs), peer("group-norm", "params", pruned, fine_tuning=epochs))]
        text = text_of(study("epochs", rows))
        self.assertIn("Mapped is ahead of pruned by group-norm local by more than chance gives after 1 epoch (+10.00 points).", text)
        self.assertIn("Pruning by group-norm local does as well, within chance, after 5 epochs (-0.10 points).", text)
        self.assertIn("Pruning by group-norm local does better, by more than chance gives, after 20 epochs (-2.00 points).", text)
        rows = [row("hybrid", 60.0, labelled=0.01, distillation=0.9, fine_tuning=5),
                peer("group-norm", "params", 70.0, labelled=0.01, distillation=0.9, fine_tuning=5)]
        self.assertIn("With the teacher's soft labels: pruning by group-norm local does better, by more than chance gives, with 1 % of "
                      "the labels (-10.00 points).", text_of(study("labels", rows)))

    def test_say_with_how_few_labels_mapping_gains(self):
        rows = [row(step, percent, labelled=labelled, distillation=distillation, fine_tuning=5)
                for labelled, distillation, mapped, control in ((0.01, 0, 60, 40), (1, 0, 91, 91), (0.01, 0.9, 90, 90.1))
                for step, percent in (("hybrid", mapped), ("no-mapping", control))]
        text = text_of(study("labels", rows))
        self.assertIn("Without the teacher's soft labels: mapped is ahead of not mapped by more than chance gives with 1 % of "
                      "the labels (+20.00 points). No-mapping does as well, within chance, with 100 % of the labels (+0.00 "
                      "points).", text)
        self.assertIn("With the teacher's soft labels: no-mapping does as well, within chance, with 1 % of the labels (-0.10 "
                      "points).", text)

    def test_say_what_the_mapping_gives_without_a_label(self):
        rows = [row(step, percent, labelled=labelled, distillation=distillation, fine_tuning=5)
                for labelled, distillation, tuned in ((0.01, 0, 81.0), (0.1, 0, 84.5), (0.01, 0.9, 90.0))
                for step, percent in (("map", 84.7), ("hybrid", tuned))]
        text = text_of(study("labels", rows))
        self.assertIn("As mapped, without a label and without fine-tuning, the network is right for 84.70 % of the test images.", text)
        self.assertIn("Fine-tuning takes something away, more than chance gives, with 1 % of the labels and no soft ones (-3.70 "
                      "points).", text)
        self.assertEqual(tables.table(study("labels", rows)).splitlines()[2], "| none | - | 0 | 84.70 % | - | - | 1 |")

    def test_say_which_objective_is_best_and_whether_there_need_be_any(self):
        rows = [variant("hybrid", test, name, "what is minimised", held_out) for name, test, held_out in
                (("meanflow", 85.0, 76.0), ("both", 83.0, 79.0), ("endpoint", 82.8, 80.0))]
        text = text_of(study("ablation", rows + [variant("no-mapping", 82.9, "both", "what is minimised")], base="both"))
        # 2,000 held-out images choose; by the 10,000 of the test another one would be best.
        self.assertIn("What is minimised: after the fine-tuning endpoint is best on the held-out images with 80.00 %. As good, within "
                      "chance: both (1.00 points behind). Behind by more than chance gives: meanflow by 4.00 points.", text)
        self.assertIn("The control no-mapping does as well on the test images: 82.90 %, 0.10 points behind both, within chance.", text)

    def test_hold_each_control_against_the_variant_that_it_is_of(self):
        rows = [variant("hybrid", 80.0, "both", "g"), variant("no-mapping", 82.0, "both", "g"), variant("hybrid", 85.0, "best", "g"),
                variant("hybrid", 84.0, "features", "g"), variant("no-mapping", 75.0, "features", "g")]
        text = text_of(study("ablation", rows, base="both"))
        self.assertIn("The control no-mapping does better on the test images: 82.00 %, 2.00 points ahead of both, more than "
                      "chance gives.", text)
        self.assertIn("The control no-mapping stays behind on the test images: 75.00 %, 9.00 points behind features, more than "
                      "chance gives.", text)
        self.assertIn("| no-mapping | the control: features, not mapped", tables.table(study("ablation", rows, base="both")))

    def test_rank_variants_over_the_seeds_that_all_of_them_have(self):
        rows = [row("hybrid", 80.0, 90.0, variant="both", group="g", about="", held_out=[80.0, 90.0]),
                variant("hybrid", 84.0, "other", "g")]
        text = text_of(study("ablation", rows, base="both"))
        self.assertIn("other is best on the held-out images with 84.00 %, over seed 0. Behind by more than chance gives: both by "
                      "4.00 points.", text)

    def test_hold_other_networks_against_the_base_and_tell_their_size(self):
        rows = [variant("hybrid", 83.0, "both", "minimised"), variant("hybrid", 90.0, "meanflow", "minimised"),
                variant("hybrid", 86.0, "deeper", "seen", parameters=375, macs=402),
                variant("hybrid", 82.9, "dilated", "seen"), variant("hybrid", 83.0, "own-input", "learned from")]
        of_groups = verdicts.verdict(study("ablation", rows, base="both"))
        self.assertEqual(of_groups[1], "Seen: after the fine-tuning deeper is best on the held-out images with 86.00 %, with 1.25 times "
                         "the parameters of both. Behind by more than chance gives: both by 3.00 points and dilated by 3.10 points.")
        self.assertEqual(of_groups[2], "Learned from: after the fine-tuning both is best on the held-out images with 83.00 %. As good, "
                         "within chance: own-input (0.00 points behind).")

    def test_hold_changes_against_the_published_one_that_is_nearest(self):
        published = [{"name": "P", "speedup": 2.13, "before": 93.5, "after": 93.8},
                     {"name": "Q", "speedup": 9, "before": 93, "after": 90}]
        rows = [row("hybrid", 91.0, macs=470, fine_tuning=5), row("no-mapping", 91.1, macs=470, fine_tuning=5),
                row("hybrid", 91.9, macs=470, fine_tuning=20, epochs=66)]
        a_study = study("depgraph", [TEACHER, LONGER, *rows], published=published)
        text = text_of(a_study)
        self.assertIn("With 2.13 times fewer multiply-accumulates, after 6 epochs more than its teacher's 45, the accuracy changes by "
                      "-1.00 points (more than chance gives); published for P at 2.13 times: +0.30 points, from a teacher of 93.50 %. "
                      "The control no-mapping does better: 91.10 %, 0.10 points ahead of the hybrid, within chance.", text)
        self.assertIn("after 21 epochs more than its teacher's 45, the accuracy changes by -0.10 points (within chance)", text)
        self.assertIn("The teacher itself changes by +0.30 points in 6 epochs more (teacher-longer).", text)
        lines = [line for line in tables.table(a_study).splitlines() if "| mfi |" in line]
        self.assertEqual([[line.split("|")[cell].strip() for cell in (1, 4, 7)] for line in lines],
                         [["teacher-longer", "6", "+0.30"], ["hybrid", "6", "-1.00"], ["no-mapping", "6", "-0.90"],
                          ["hybrid", "21", "-0.10"]])

    def test_never_contradict_the_table_by_rounding(self):
        text = text_of(front(row("hybrid", 91.004), row("no-mapping", 90.996)))
        self.assertIn("no-mapping.", text)
        self.assertNotIn("0.01", text)


class Tables(unittest.TestCase):
    def test_put_sizes_from_the_largest_down_with_their_controls_and_peers_beside_them(self):
        lines = tables.table(front(row("hybrid", 88.0, size="0.2", parameters=200), row("hybrid", 91.0),
                                   peer("random", "macs", 80.0), peer("random", "macs", 70.0, scope="global"),
                                   peer("random", "params", 82.0), peer("random", "params", 81.0, recipe="users"),
                                   row("no-mapping", 90.0, 91.0))).splitlines()
        self.assertEqual([tuple(word.strip() for word in line.split("|")[1:3]) for line in lines[2:] if "not run" not in line],
                         [("", "teacher"), ("", "teacher-longer"), ("0.3", "hybrid"), ("0.3", "no-mapping"),
                          ("0.3", "random local to its parameters"), ("0.3", "random local to its parameters with users' settings"),
                          ("0.3", "random local to its MACs"),
                          ("0.3", "random global to its MACs"), ("0.2", "hybrid")])
        self.assertIn("| 0.3 | no-mapping | mfi | 51 | 300 | 30.0 % | 400 | 40.0 % | - | 90.50 % (90.00 to 91.00) | 2 |", lines)

    def test_name_controls_that_were_not_run_and_one_that_would_be_the_hybrid(self):
        rows = [row("map", 50.0), row("hybrid", 91.0), row("no-mapping", 90.0), row("map", 50.0, size="0.2", parameters=200)]
        asked = {"0.3": [step for step in ALL_ASKED["0.3"] if step != "regression-hybrid"]}
        lines = tables.table(front(*rows, asked=asked)).splitlines()
        self.assertEqual([[line.split("|")[cell].strip() for cell in (1, 2, 9, 10)] for line in lines[4:]],
                         [["0.3", "hybrid", "50.00 %", "91.00 %"], ["0.3", "no-mapping", "-", "90.00 %"],
                          ["0.3", "smaller-resnet", "-", "not run"], ["0.3", "distilled-resnet", "-", "not run"]])
        self.assertIn("| 0.3 | regression-hybrid | mfi | - | - | - | - | - | - | not run | - |",
                      tables.table(front(*rows, asked=ALL_ASKED)))

    def test_have_as_many_columns_in_each_line(self):
        for a_study in (front(row("hybrid", 91.0)), study("epochs", [row("hybrid", 50.0, fine_tuning=0)]),
                        study("labels", [row("hybrid", 50.0, labelled=0.1, distillation=0, fine_tuning=9)]),
                        study("ablation", [variant("map", 50.0, "a", "g")]),
                        study("depgraph", [TEACHER, row("hybrid", 91.0, fine_tuning=5)],
                              published=[{"name": "P", "speedup": 2, "before": 9, "after": 8}])):
            self.assertEqual(len({line.count("|") for line in tables.table(a_study).splitlines()}), 1, a_study.name)

    def test_show_differences_and_which_of_them_are_chance(self):
        rows = [row("hybrid", 90.0, 92.0, fine_tuning=1), row("no-mapping", 85.0, fine_tuning=1),
                row("hybrid", 50.0, fine_tuning=0), row("no-mapping", 71.0, fine_tuning=0)]
        text = tables.table(study("epochs", rows))
        self.assertIn("| 0.3 | 0 | 50.00 % | 71.00 % | -21.00 | 1 |", text)
        self.assertIn("| 0.3 | 1 | 91.00 % (90.00 to 92.00) | 85.00 % | +5.00 (seed 0) | 2, 1 |", text)
        text = tables.table(study("epochs", [row("hybrid", 90.0, fine_tuning=1), row("no-mapping", 90.1, fine_tuning=1)]))
        self.assertIn("| -0.10 (chance) |", text)
        rows = [row("hybrid", 90.0, 92.0, fine_tuning=1), row("no-mapping", 90.1, fine_tuning=1)]
        self.assertIn("| -0.10 (chance, seed 0) |", tables.table(study("epochs", rows)))
        rows[1] |= {"seeds": [7]}
        self.assertIn("| 90.10 % | - | 2, 1 |", tables.table(study("epochs", rows)))

    def test_show_the_pruned_beside_the_mapped_where_there_are_any(self):
        rows = [row("hybrid", 50.0, fine_tuning=0), row("hybrid", 91.0, fine_tuning=1), row("no-mapping", 85.0, fine_tuning=1),
                peer("group-norm", "params", 88.0, fine_tuning=1)]
        lines = tables.table(study("epochs", rows)).splitlines()
        self.assertEqual(lines[0], "| size | epochs of fine-tuning | mapped | not mapped | difference | pruned by group-norm local | "
                         "difference | seeds |")
        self.assertEqual(lines[2:], ["| 0.3 | 0 | 50.00 % | - | - | - | - | 1 |",
                                     "| 0.3 | 1 | 91.00 % | 85.00 % | +6.00 | 88.00 % | +3.00 | 1 |"])
        rows = [row("hybrid", 60.0, labelled=0.01, distillation=0.9, fine_tuning=5),
                peer("group-norm", "params", 70.0, labelled=0.01, distillation=0.9, fine_tuning=5)]
        self.assertEqual(tables.table(study("labels", rows)).splitlines()[2:],
                         ["| 1 % | 0.9 | 5 | 60.00 % | - | - | 70.00 % | -10.00 | 1 |"])

    def test_show_the_teacher_trained_as_long_beside_all_sizes(self):
        rows = [row("hybrid", 91.0, fine_tuning=5), row("hybrid", 88.0, size="0.2", fine_tuning=5), row("hybrid", 60.0, fine_tuning=1),
                row("no-mapping", 91.0, fine_tuning=5), row("teacher-longer", 92.0, fine_tuning=5)]
        a_study = study("epochs", rows)
        lines = tables.table(a_study).splitlines()
        self.assertIn("| not mapped | difference | teacher-longer | difference | seeds |", lines[0])
        self.assertEqual(lines[2:], ["| 0.3 | 1 | 60.00 % | - | - | - | - | 1 |",
                                     "| 0.3 | 5 | 91.00 % | 91.00 % | +0.00 (chance) | 92.00 % | -1.00 | 1 |",
                                     "| 0.2 | 5 | 88.00 % | - | - | 92.00 % | -4.00 | 1 |"])
        self.assertIn("Teacher-longer does better, by more than chance gives, after 5 epochs (-4.00 points).", text_of(a_study))

    def test_show_mapping_and_fine_tuning_of_a_variant_beside_each_other(self):
        both = {"variant": "both", "group": "minimised", "about": "x"}
        rows = [TEACHER, row("map", 40.0, 42.0, **both), row("hybrid", 80.0, 81.0, held_out=[85.0, 86.0], **both),
                row("no-mapping", 79.0, held_out=[84.0], **both)]
        text = tables.table(study("ablation", rows))
        self.assertIn("| both | x | 30.0 % | 40.0 % | 85.50 % (85.00 to 86.00) | 80.50 % (80.00 to 81.00) | "
                      "41.00 % (40.00 to 42.00) | 60 | 2 |", text)
        self.assertIn("| no-mapping | the control: both, not mapped but fine-tuned for the mapping's epochs too | 30.0 % | 40.0 % | "
                      "84.00 % | 79.00 % | - | - | 1 |", text)

    def test_shows_seconds_of_mappings_on_as_many_threads_as_the_base(self):
        rows = [variant("map", 50.0, name, "g") | {"machines": [f"CPU, {threads} threads"], "seconds": [seconds]}
                for name, threads, seconds in (("both", 2, 15.0), ("deeper", 2, 18.0), ("slow", 3, 29.0))]
        text = tables.table(study("ablation", rows, base="both"))
        for name, seconds in (("both", "15"), ("deeper", "18"), ("slow", "-")):
            self.assertRegex(text, rf"\| {name} \|.*\| {seconds} \| 1 \|\n")

    def test_put_variants_under_their_groups_with_their_sizes(self):
        rows = [TEACHER] + [variant(step, 50.0, name, group, parameters=parameters) for name, group, parameters in
                            (("both", "minimised", 190), ("deeper", "seen", 240), ("endpoint", "minimised", 190))
                            for step in ("map", "hybrid")] + [variant("no-mapping", 50.0, "both", "minimised", parameters=190)]
        lines = [[word.strip() for word in line.split("|")[1:-1]] for line in tables.table(study("ablation", rows)).splitlines()]
        self.assertEqual([(line[0], line[2]) for line in lines[2:]],
                         [("**minimised**", ""), ("both", "19.0 %"), ("endpoint", "19.0 %"), ("no-mapping", "19.0 %"), ("**seen**", ""),
                          ("deeper", "24.0 %")])


class Charts(unittest.TestCase):
    def parse(self, a_study):
        return xml.etree.ElementTree.fromstring(charts.chart(a_study))

    def legend(self, svg):
        return [each.text for each in svg.iter(f"{SVG}text") if float(each.get("x")) == line_chart.RIGHT_EDGE + 40]

    def full_front(self):
        steps = ("hybrid", "no-mapping", "regression-hybrid", "smaller-resnet", "distilled-resnet")
        rows = [row(step, 90 - n - 10 * (1 - share), 90.4 - n, size=str(share), parameters=1000 * share, macs=900 * share)
                for n, step in enumerate(steps) for share in (0.6, 0.3)]
        rows += [peer(method, match, 85.0, 86.0, size="0.3", scope=scope)
                 for method, scope in (("group-norm", "local"), ("group-norm", "global"), ("random", "local"))
                 for match in ("params", "macs")]
        return front(*rows, aim={"params": 0.3, "macs": 0.5, "points": 0.2})

    def test_of_the_front_hold_every_series_in_both_panels(self):
        svg = self.parse(self.full_front())
        self.assertEqual(self.legend(svg), ["teacher-longer, ± 0.2 points", "teacher", "hybrid", "no-mapping", "regression-hybrid",
                                            "smaller-resnet", "distilled-resnet", "group-norm local, pruned",
                                            "group-norm global, pruned", "random local, pruned"])
        marks = list(svg.iter(f"{SVG}polygon")) + list(svg.iter(f"{SVG}circle"))
        self.assertEqual(len(marks), 2 * (5 * 2 + 3) + 8)
        self.assertEqual(len(list(svg.iter(f"{SVG}polyline"))), 2 * 5)
        labels = [each.text for each in svg.iter(f"{SVG}text")]
        self.assertIn("test top-1 against parameters", labels)
        self.assertIn("test top-1 against multiply-accumulates an image", labels)

    def test_show_a_band_around_the_teacher_trained_as_long(self):
        bands = [each for each in self.parse(self.full_front()).iter(f"{SVG}rect") if each.get("fill-opacity")]
        self.assertEqual(len(bands), 3)
        self.assertNotIn("fill-opacity", charts.chart(front(row("hybrid", 91.0))))

    def test_show_the_range_of_seeds(self):
        def bars(*percents):
            svg = self.parse(study("epochs", [row("hybrid", *percents, fine_tuning=n) for n in (1, 5)]))
            return sum(each.get("stroke") == "#c8501e" for each in svg.iter(f"{SVG}line"))

        self.assertEqual((bars(90.0), bars(90.0, 91.0)), (0, 2))

    def test_of_epochs_begin_at_none_and_hold_the_pruned_networks(self):
        rows = [row("hybrid", 50.0 + n, fine_tuning=n) for n in (0, 1, 20)] + [row("no-mapping", 60.0, fine_tuning=1)]
        self.assertEqual(self.legend(self.parse(study("epochs", rows + [row("teacher-longer", 92.0, fine_tuning=20)])))[-1],
                         "teacher-longer")
        rows += [peer("random", "params", 70.0, fine_tuning=n) for n in (1, 5)]
        svg = self.parse(study("epochs", rows))
        self.assertEqual(self.legend(svg), ["mapped, size 0.3", "not mapped, size 0.3", "pruned by random local, size 0.3"])
        self.assertTrue({"0", "1", "5", "20"} <= {each.text for each in svg.iter(f"{SVG}text")})
        lines = {each.get("stroke"): len(each.get("points").split()) for each in svg.iter(f"{SVG}polyline")}
        self.assertEqual(lines[METHODS["random"]], 2)

    def test_of_epochs_tell_what_the_pruned_networks_were_pruned_to(self):
        rows = [row("hybrid", 50.0, fine_tuning=5)] + [peer("random", match, 70.0, fine_tuning=5) for match in ("params", "macs")]
        self.assertEqual(self.legend(self.parse(study("epochs", rows)))[1:],
                         ["pruned by random local to its parameters, size 0.3", "pruned by random local to its MACs, size 0.3"])
        rows = [row("hybrid", 50.0, fine_tuning=5)] + [peer("random", "macs", 70.0, scope=scope, fine_tuning=5)
                                                       for scope in ("local", "global")]
        self.assertEqual(self.legend(self.parse(study("epochs", rows)))[1:],
                         ["pruned by random local, size 0.3", "pruned by random global, size 0.3"])

    def test_of_epochs_draw_a_second_size_lighter(self):
        rows = [each for size, parameters in (("0.3", 300), ("0.2", 200)) for each in
                (row("hybrid", 50.0, fine_tuning=5, size=size, parameters=parameters),
                 peer("random", "params", 70.0, fine_tuning=5, size=size, parameters=parameters))]
        text = charts.chart(study("epochs", rows))
        self.assertIn(f'fill="{METHODS["random"]}"><title>pruned by random local, size 0.3', text)
        self.assertIn(f'fill="{lighter(METHODS["random"])}"><title>pruned by random local, size 0.2', text)

    def test_of_labels_tell_taught_from_untaught(self):
        rows = [row(step, 50.0, labelled=labelled, distillation=distillation, fine_tuning=5)
                for step in ("hybrid", "no-mapping") for labelled in (0.01, 1) for distillation in (0, 0.9)]
        self.assertEqual(self.legend(self.parse(study("labels", rows))),
                         ["mapped, soft labels 0.9", "mapped, labels alone", "not mapped, soft labels 0.9", "not mapped, labels alone"])
        rows += [peer("group-norm", "params", 50.0, labelled=0.1, distillation=distillation, fine_tuning=5)
                 for distillation in (0, 0.9)]
        self.assertEqual(self.legend(self.parse(study("labels", rows)))[4:],
                         ["pruned by group-norm local, soft labels 0.9", "pruned by group-norm local, labels alone"])

    def test_of_the_ablation_have_a_line_for_each_variant_and_each_control(self):
        rows = [variant("map", 30.0, "both", "g"), variant("hybrid", 64.0, "both", "g", held_out=65.0),
                variant("no-mapping", 62.0, "both", "g", held_out=61.0), variant("hybrid", 70.0, "deeper", "h", held_out=71.0)]
        svg = self.parse(study("ablation", rows, base="both"))
        texts = [each.text for each in svg.iter(f"{SVG}text")]
        names = [text for text in texts if text in ("g", "both", "no-mapping (both)", "h", "deeper")]
        self.assertEqual(names, ["g", "both", "no-mapping (both)", "h", "deeper"])
        hovers = [each.text for each in svg.iter(f"{SVG}title")]
        for hover in ("both, held out, fine-tuned: 65.00 %", "both, test, as mapped: 30.00 %",
                      "no-mapping (both), not mapped: held out, fine-tuned: 61.00 %", "deeper, held out, fine-tuned: 71.00 %"):
            self.assertIn(hover, hovers)

    def test_beside_published_figures_show_changes_against_speedup(self):
        rows = [TEACHER, row("hybrid", 91.0, macs=500, fine_tuning=5), row("hybrid", 92.5, macs=500, epochs=66, fine_tuning=20),
                row("teacher-longer", 92.2, parameters=1000, macs=1000)]
        svg = self.parse(study("depgraph", rows, published=[{"name": "Other", "speedup": 2.5, "before": 90.0, "after": 90.5}]))
        hovers = [each.text for each in svg.iter(f"{SVG}title")]
        for hover in ("hybrid, 6 epochs more: -1.00", "hybrid, 21 epochs more: 0.50", "teacher-longer, 6 epochs more: 0.20",
                      "Other, published: 0.50"):
            self.assertIn(hover, hovers)
        self.assertTrue({"1", "1.5", "2", "2.5"} <= {each.text for each in svg.iter(f"{SVG}text")})
        self.parse(study("depgraph", [], published=[{"name": "Other", "speedup": 2.5, "before": 90.0, "after": 90.5}]))

    def test_stay_within_their_borders(self):
        svg = self.parse(self.full_front())
        width, height = map(float, svg.get("viewBox").split()[2:])
        for each in svg.iter():
            for key, limit in [(key, width) for key in ("x", "x1", "x2", "cx")] + [(key, height) for key in ("y", "y1", "cy")]:
                self.assertTrue(0 <= float(each.get(key, 0)) <= limit, each.attrib)

    def test_write_no_label_over_a_mark_or_another_label(self):
        room = line_chart.Room(0, 0, 200, 100)
        room.take(95, 45, 105, 55)
        first, second = room.label("abc", "#000", [(100, 50)]), room.label("abc", "#000", [(100, 50)])
        self.assertIn('x="110.0"', first[0])
        self.assertIn('x="90.0"', second[0])
        self.assertEqual(room.label("abc", "#000", [(-50, 50)]), [])

    def test_are_on_white(self):
        self.assertEqual(next(self.parse(self.full_front()).iter(f"{SVG}rect")).get("fill"), "#ffffff")

    def test_can_hold_a_single_network(self):
        self.parse(front(row("hybrid", 91.0)))
        self.parse(study("epochs", [row("hybrid", 91.0, fine_tuning=5)]))


class Pages(unittest.TestCase):
    def between(self, text, content="new"):
        return pages.replace_between("page.md", text, "a-b", content)

    def test_replace_only_what_is_between_the_markers(self):
        text = f"before\n{pages.marker('a-b')}\nold\n{pages.end_marker('a-b')}\nafter\n"
        new = self.between(text)
        self.assertEqual(new, f"before\n{pages.marker('a-b')}\n\nnew\n\n{pages.end_marker('a-b')}\nafter\n")
        self.assertEqual(self.between(new), new)

    def test_say_where_a_missing_marker_belongs(self):
        for text, part in (("", "has no line"), (pages.marker("a-b"), "has no line '<!-- end of a-b -->'"),
                           (2 * pages.marker("a-b"), "more than one"),
                           (pages.end_marker("a-b") + pages.marker("a-b"), "comes before")):
            with self.assertRaises(StudyError) as caught:
                self.between(text)
            self.assertIn(part, str(caught.exception))

    def test_name_the_command_images_seeds_machine_version_and_chance(self):
        text = " ".join(pages.section(front(row("hybrid", 91.0, 91.2), peer("random", "macs", 50.0))).split())
        self.assertIn("bench/results/study.py build/release/bin/mfi teacher search front peers whole --dataset cifar10 --seeds 0,1 "
                      "--data ~/data", text)
        self.assertIn("50,000 training images, 10,000 test images; seeds 0, 1 (mean, lowest to highest); CPU, 2 threads; mfi 0.1.0; "
                      "Torch-Pruning 1.6.1.", text)
        self.assertIn("A difference below 0.7 points (near 92 %) to 1.4 points (near 50 %) may be chance of the test images", text)

    def test_say_how_much_is_missing(self):
        self.assertEqual(pages.missing(front(missing=["a", "b"], runs=8)),
                         "2 of the 8 runs that `experiments.toml` asks for here are not done yet; `study.py` with `--list` names them.")
        self.assertIn("1 of the 8 runs that `experiments.toml` asks for here is not", pages.missing(front(missing=["a"], runs=8)))

    def test_name_networks_that_the_projects_recipes_are(self):
        recipes = list((SOURCE / "recipes/smaller").glob("cifar*[0-9]-[0-9][0-9]-percent.toml"))
        self.assertGreaterEqual(len(recipes), 11)
        for file in recipes:
            dataset, percent, _ = file.stem.split("-")
            front = json.loads((SOURCE / f"docs/results/{dataset}-front.json").read_text())
            chosen = [kept["chosen"]["stages"] for kept in front["chosen"].values()
                      if round(100 * kept["chosen"]["parameters"] / kept["teacher"]["parameters"]) == int(percent)]
            recipe = read_recipe(file)
            pipeline, flow = recipe["pipeline"], recipe["flow"]
            widths = pipeline.get("block_width", [0, 0, 0, 0])
            if 0 in pipeline["blocks"]:
                self.assertEqual(flow.get("modules"), 1, file.name)  # two in the last stage where it says nothing
            flow_name = "flow" + (f"-a{flow['alignment']}" if flow.get("alignment", 1) != 1 else "")
            stages = [f"{flow_name}-h{hidden}" if count == 0 else f"blocks-{count}-w{width}" if width else
                      "all" if count == own else f"blocks-{count}"
                      for count, own, width, hidden in zip(pipeline["blocks"], (3, 4, 6, 3), widths, flow["hidden"])]
            self.assertIn(stages, chosen, file.name)

    def test_have_a_place_for_every_table(self):
        for page, names in SECTIONS.items():
            text = (SOURCE / "docs" / page).read_text()
            for name in names:
                pages.replace_between(page, text, name, "x")


class Machines(unittest.TestCase):
    def test_stand_once_with_all_their_numbers_of_threads(self):
        for machines, text in ((["CPU, 2 threads"], "CPU, 2 threads"), (["CPU, 1 thread, AVX2"], "CPU, 1 thread, AVX2"),
                               (["CPU, 2 threads, AVX2", "Other, 2 threads", "CPU, 1 thread, AVX2"],
                                "CPU, 1 or 2 threads, AVX2; Other, 2 threads")):
            self.assertEqual(pages.machines_text(machines), text)


class FromRunsToPages(unittest.TestCase):
    """With what a made-up mfi has left: two seeds of everything on CIFAR-10."""

    @classmethod
    def setUpClass(cls):
        cls.folder_holder = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.folder_holder.name)
        cls.environment = made_up_environment()
        done = cls.call("study.py", HERE / "made_up_mfi.py", "teacher", "search", "front", "peers", "whole", "ablation", "epochs", "labels",
                        "depgraph", "--seeds", "0,1", "--out", cls.folder / "out", "--dataset", "cifar10")
        if done.returncode:
            raise AssertionError(done.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.folder_holder.cleanup()

    @classmethod
    def call(cls, program, *words):
        return subprocess.run([sys.executable, HERE / program, *words], capture_output=True, text=True, cwd=SOURCE, timeout=120,
                              env=cls.environment)

    def docs(self, name, sections=SECTIONS):
        folder = self.folder / name
        folder.mkdir()
        for page, names in sections.items():
            body = [f"{pages.marker(each)}\n\nNot run yet.\n\n{pages.end_marker(each)}" for each in names]
            (folder / page).write_text("\n\n".join(["# Mine", *body, "The end"]) + "\n")
        return folder

    def report(self, docs, *words):
        done = self.call("report.py", *(words or (self.folder / "out",)), "--docs", docs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def figures(self, docs, name):
        return json.loads((docs / "results" / f"{name}.json").read_text())

    def test_fills_every_table_with_runs_and_leaves_the_others(self):
        docs = self.docs("all")
        self.report(docs)
        text = (docs / "results.md").read_text()
        for name in ("front", "epochs", "labels"):
            self.assertIn(f"](results/cifar10-{name}.svg)", text)
            xml.etree.ElementTree.parse(docs / "results" / f"cifar10-{name}.svg")
        self.assertIn("| 0.3 | hybrid | mfi | 51 | 290.0 k | 29.0 % | 20.30 M | 29.0 % | 47.83 % (47.78 to 47.88) | 87.83 % (87.78 to 87.88) | 2 |", text)
        self.assertIn("| hybrid | mfi | 2.33 |", text)
        self.assertIn("| DepGraph | published | 2.13 | - | 93.53 % | 93.77 % | +0.24 | - |", text)
        method = (docs / "method.md").read_text()
        self.assertIn("| meanflow | the MeanFlow identity alone | 19.0 % | 19.0 % |", method)
        self.assertLess(method.index("| **what the velocity network sees** |"), method.index("| deeper |"))
        self.assertLess(method.index("| deeper |"), method.index("| **what it learns from** |"))
        self.assertIn("What it learns from: after the fine-tuning both is best on the held-out images with 90.00 %.", method)
        self.assertIn("18,000 training images, 10,000 test images, 2,000 held out;", method)
        self.assertIn("below 1.9 points of the held-out ones", method.replace("\n", " "))
        self.assertIn("| 90.00 % (89.95 to 90.05) | 86.00 % (85.95 to 86.05) | 46.00 % (45.95 to 46.05) | 10 | 2 |", method)
        self.assertIn(f"{pages.marker('front-cifar100')}\n\nNot run yet.", text)
        self.assertTrue(text.startswith("# Mine\n") and text.endswith("The end\n"))

    def test_writes_plain_figures_of_each_network(self):
        docs = self.docs("figures")
        self.report(docs)
        front_figures = self.figures(docs, "cifar10-front")
        found = Study(front_figures).find("distilled-resnet")
        self.assertEqual((found["run"], found["epochs"], found["seeds"]), ("cifar10/front/0.3", 51, [0]))
        self.assertEqual(found["seconds"], [510.0])
        self.assertEqual((found["machines"], found["versions"]), (["Made-up CPU, 2 threads"], ["mfi 9.9.9, LibTorch 9.9.9"]))
        self.assertEqual(Study(front_figures).find("teacher")["epochs"], 45)
        self.assertEqual(front_figures["chosen"]["0.3"]["target"], "params=0.3 macs=0.5")
        self.assertEqual(front_figures["no_flow_stage"], ["0.6", "0.4", "macs-0.44", "whole-0.6", "whole-0.4"])
        self.assertIsNone(Study(front_figures).find("regression-hybrid", size="0.4"))
        self.assertEqual(Study(self.figures(docs, "cifar10-ablation")).find("map", variant="logits")["epochs"], 46)
        epochs, labels = (Study(self.figures(docs, f"cifar10-{name}")) for name in ("epochs", "labels"))
        self.assertEqual([(each["fine_tuning"], each["epochs"], each["seeds"]) for each in epochs.peers(size="whole-0.3")],
                         [(0, 46, [0]), (1, 47, [0]), (2, 48, [0]), (5, 51, [0]), (20, 66, [0])])
        self.assertEqual(len(labels.peers()), 6)
        self.assertEqual(labels.peers(labelled=0.01, distillation=0.0)[0]["epochs"], 45 + 1 + 650)
        self.assertEqual(self.figures(docs, "cifar10-ablation")["training_images"], [18000])

    def test_makes_the_same_again_from_the_figures_alone(self):
        docs, again = self.docs("once"), self.docs("again")
        self.report(docs)
        self.report(again, "--from", docs / "results")
        for file in [*docs.glob("*.md"), *(docs / "results").glob("*.svg")]:
            self.assertEqual((again / file.relative_to(docs)).read_text(), file.read_text(), file.name)

    def test_shows_what_is_there_and_names_what_is_not(self):
        docs = self.docs("three-seeds")
        said = self.report(docs, self.folder / "out", "--seeds", "1,2")
        self.assertIn("front-cifar10: ", said)
        text = (docs / "results.md").read_text()
        figures = self.figures(docs, "cifar10-front")
        self.assertIn("cifar10/front/0.6-s2", figures["missing"])
        self.assertIn(f"\n{len(figures['missing'])} of the {figures['runs']} runs that", text)
        self.assertIn("\n  cifar10/front/0.6-s2\n", said)
        self.assertIn("seed 1;", text)
        self.assertEqual(Study(self.figures(docs, "cifar10-front")).find("hybrid", size="0.3")["seeds"], [1])

    def test_passes_over_runs_of_other_settings(self):
        recipe = self.folder / "out/cifar10/labels/0.1-d0-s0/recipe.toml"
        text = recipe.read_text()
        self.addCleanup(recipe.write_text, text)
        recipe.write_text(text.replace("labelled = 0.1", "labelled = 0.2"))
        docs = self.docs("others")
        said = self.report(docs)
        labels = Study(self.figures(docs, "cifar10-labels"))
        self.assertIsNone(labels.find("hybrid", labelled=0.1, distillation=0.0))
        self.assertIsNotNone(labels.find("hybrid", labelled=0.1, distillation=0.9))
        self.assertIn("\n  cifar10/labels/0.1-d0-s0 (with other settings: data.labelled)\n", said)

    def test_makes_no_table_of_the_fronts_runs_alone_for_a_dataset_that_its_study_is_not_made_with(self):
        self.addCleanup(shutil.rmtree, self.folder / "out/cifar100")

        def study(*words):
            done = self.call("study.py", HERE / "made_up_mfi.py", *words, "--out", self.folder / "out", "--dataset", "cifar100",
                             "--seeds", "0")
            self.assertEqual(done.returncode, 0, done.stderr)

        study("teacher", "search", "front")
        docs = self.docs("cifar100")
        self.report(docs)
        self.assertNotIn("Not run yet.", (docs / "results.md").read_text())
        study("epochs", "--only", "0.2-e1-s0", "--skip", "peers")
        done = self.call("report.py", self.folder / "out", "--docs", docs)
        self.assertIn("has no line '<!-- epochs-cifar100:", done.stderr)

    def test_passes_over_what_was_built_on_a_search_or_a_teacher_that_is_not_the_studys(self):
        kept = self.folder / "out/cifar10/sizes/0.3.json"
        text = kept.read_text()
        self.addCleanup(kept.write_text, text)
        for changed, why in ((text.replace("params=0.3 macs=0.5", "params=0.3"), "for another target: params=0.3"),
                             (text.replace('"teacher 0"', '"teacher 7"'), "with another teacher")):
            kept.write_text(changed)
            docs = self.docs(why.replace(" ", "-").replace(":", ""))
            self.report(docs)
            figures = self.figures(docs, "cifar10-front")
            self.assertIn(f"cifar10/search-0.3 ({why})", figures["missing"])
            sizes = ["0.6", "0.4", "0.22", "0.2", "macs-0.44", "whole-0.6", "whole-0.4", "whole-0.3", "whole-0.22", "whole-0.2"]
            self.assertEqual({each.get("size") for each in figures["figures"]}, {None, *sizes})
            self.assertEqual(list(figures["chosen"]), sizes)
            for name, waiting in (("epochs", ["cifar10/search-0.3", "cifar10/front/0.3-s0", "cifar10/epochs/0.3-e20-s0"]), ("ablation", [])):
                there = [each.partition(" ")[0] for each in self.figures(docs, f"cifar10-{name}")["missing"] if "search" in each]
                self.assertEqual(there, waiting)

    def test_leaves_a_table_alone_whose_runs_are_all_of_other_settings(self):
        recipes = [file for study in ("front", "whole") for file in (self.folder / f"out/cifar10/{study}").glob("*/recipe.toml")]
        for recipe in recipes:
            text = recipe.read_text()
            self.addCleanup(recipe.write_text, text)
            recipe.write_text(text.replace("limit = 0", "limit = 100"))
        docs = self.docs("none")
        self.report(docs)
        self.assertIn(f"{pages.marker('front-cifar10')}\n\nNot run yet.", (docs / "results.md").read_text())
        epochs = Study(self.figures(docs, "cifar10-epochs"))
        self.assertEqual({each["fine_tuning"] for each in epochs.peers()}, {0, 1, 2, 20})  # 5 are of whole

    def test_shows_a_size_while_its_last_controls_are_still_missing(self):
        out = self.folder / "partial"
        for words, code in ((("teacher", "search", "--only", "cifar10"), 0), (("front", "--only", "0.3-s0"), 76)):
            done = subprocess.run([sys.executable, HERE / "study.py", HERE / "made_up_mfi.py", *words, "--seeds", "0", "--out", out,
                                   "--dataset", "cifar10"], capture_output=True, text=True, cwd=SOURCE, timeout=120,
                                  env=self.environment | {"MADE_UP_STOP": "regression-hybrid"})
            self.assertEqual(done.returncode, code, done.stderr)
        docs = self.docs("partial-docs")
        self.report(docs, out, "--seeds", "0")
        text = (docs / "results.md").read_text()
        for line in (r"hybrid \| mfi \| 51 .*", r"no-mapping \| mfi \| 51 .*", r"regression-hybrid .* not run \| - \|"):
            self.assertRegex(text, rf"\n\| 0.3 \| {line}")

    def kept(self, name, change=lambda value: None):
        """Figures before, changed, and those that --keep makes of them where runs of each study, all peers and two searches are
        gone; and what it says."""
        docs, out = self.docs(name), self.folder / f"{name}-out"
        self.report(docs)
        before = {file.stem: json.loads(file.read_text()) for file in (docs / "results").glob("*.json")}
        for file, value in before.items():
            change(value)
            (docs / f"results/{file}.json").write_text(json.dumps(value))
        shutil.copytree(self.folder / "out", out)
        for gone in ("cifar10/front/0.3-s1", "cifar10/front/0.22-s*", "cifar10/front/0.6-s*", "cifar10/whole/whole-0.2-s0/hybrid",
                     "cifar10/*/*/peers", "cifar10/ablation/logits-s*", "cifar10/epochs/*-e2-*", "cifar10/labels/0.1-*",
                     "cifar10-resnet56/front/*-e20-*"):
            for folder in list(out.glob(gone)):
                shutil.rmtree(folder)
        for size in ("0.22", "0.6"):
            for kind in ("toml", "json"):
                (out / f"cifar10/sizes/{size}.{kind}").unlink()
        said = self.report(docs, out, "--keep")
        return before, {file: self.figures(docs, file) for file in before}, said

    def test_keeps_figures_whose_runs_are_gone(self):
        before, after, said = self.kept("gone")
        front = before["cifar10-front"]
        self.assertIn("cifar10/front/0.22-s2", front["missing"])  # which waits for the search that is gone
        front["missing"] = ["cifar10/search-0.6", "cifar10/search-0.22", *front["missing"]]
        self.maxDiff = None
        self.assertEqual(len(before), 5)
        for file, value in before.items():
            self.assertEqual(after[file], value, file)
        self.assertNotIn("dropped", said)

    def test_keeps_what_another_study_has_of_the_same_run(self):
        whole = []

        def without(value):
            if value["study"] == "epochs":
                whole.extend(each for each in value["figures"] if (each["run"], each["step"]) == ("cifar10/whole/whole-0.2", "hybrid"))
                value["figures"] = [each for each in value["figures"] if each not in whole]

        _, after, _ = self.kept("shared", without)
        self.assertEqual(len(whole), 1)
        self.assertIn(whole[0], after["cifar10-epochs"]["figures"])

    def test_counts_what_is_neither_kept_nor_there(self):
        def without(value):
            for each in value["figures"]:
                if (each["run"], each["step"]) in (("cifar10/front/0.22", "no-mapping"), ("cifar10/front/0.22/peers", "group-norm-macs-local")):
                    each["seeds"] = [7 for _ in each["seeds"]]

        before, after, said = self.kept("partly", without)
        before, after = before["cifar10-front"], after["cifar10-front"]
        self.assertEqual([each for each in after["missing"] if each not in before["missing"]],
                         ["cifar10/search-0.6", "cifar10/search-0.22", "cifar10/front/0.22-s0 (not yet: no-mapping)",
                          "cifar10/front/0.22-s1 (not yet: no-mapping)",
                          "cifar10/front/0.22-s0/peers (not yet: group-norm-macs-local-ours-s0)"])
        self.assertEqual(after["runs"], before["runs"])
        self.assertIn("front-cifar10: 2 earlier figures dropped: of another teacher", said)  # of a seed 7

    def test_keeps_nothing_of_another_teacher_network_or_setting(self):
        def another_teacher(value):
            value["figures"][0]["test_loss"] = [0.7]

        def another_network(value):
            for size in value["chosen"]:
                value["chosen"][size]["chosen"]["stages"][0] = "other"
                value["chosen"][size]["target"] += " macs=0.9" if size in ("0.22", "0.6") else ""

        def another_setting(value):
            for each in value["figures"]:
                each["set"] = ["hybrid.epochs=9", *each["set"][1:]]

        def another_recipe(value):
            value["recipe"]["hybrid.learning_rate"] = 7

        def another_size(value):
            for each in value["figures"]:
                each["macs"] = [macs + 1 for macs in each["macs"]]

        for change in (another_teacher, another_network, another_setting, another_recipe, another_size):
            _, after, said = self.kept(change.__name__, change)
            front, ablation = (Study(after[f"cifar10-{name}"]) for name in ("front", "ablation"))
            self.assertEqual(front.find("hybrid", size="0.3")["seeds"], [0], change.__name__)
            self.assertIsNone(front.find("hybrid", size="0.22"), change.__name__)
            if change is not another_size:  # which an ablation's settings may make
                self.assertIsNone(ablation.find("hybrid", variant="logits"), change.__name__)
            missing = [each.partition(" ")[0] for each in front.value["missing"]]
            self.assertLessEqual({"cifar10/search-0.22", "cifar10/front/0.3-s1"}, set(missing), change.__name__)
            self.assertIn("earlier figures dropped: of another teacher, recipe,", said)

    def test_keeps_no_peer_that_was_trained_in_another_way(self):
        def another_precision(value):
            for each in value["figures"]:
                if each.get("match") == "macs":
                    each["set"] = [word.replace("bf16", "fp32") for word in each["set"]]

        _, after, _ = self.kept("precision", another_precision)
        self.assertEqual({each["match"] for each in Study(after["cifar10-front"]).peers()}, {"params"})

    def test_says_what_it_drops(self):
        docs = self.docs("drops")
        self.report(docs)
        said = self.report(docs, self.folder / "out", "--seeds", "0")
        self.assertRegex(said, r"front-cifar10: \d+ earlier figures dropped: their runs are not there; --keep keeps")

    def test_the_pages_of_the_project_say_what_its_figures_say(self):
        docs = self.folder / "committed"
        docs.mkdir()
        for page in SECTIONS:
            shutil.copy(SOURCE / "docs" / page, docs)
        self.report(docs, "--from", SOURCE / "docs/results")
        for page in SECTIONS:
            self.assertEqual((docs / page).read_text(), (SOURCE / "docs" / page).read_text(), f"run report.py --from docs/results: {page}")
        for chart in (docs / "results").glob("*.svg"):
            self.assertEqual(chart.read_text(), (SOURCE / "docs/results" / chart.name).read_text(), chart.name)

    def test_changes_nothing_where_a_marker_is_missing(self):
        docs = self.docs("marker", {"results.md": SECTIONS["results.md"], "method.md": ()})
        before = (docs / "results.md").read_text()
        done = self.call("report.py", self.folder / "out", "--docs", docs)
        self.assertEqual(done.returncode, 1)
        self.assertIn("method.md: has no line '<!-- ablation-cifar10: made by bench/results/report.py -->'; put the lines", done.stderr)
        self.assertEqual((docs / "results.md").read_text(), before)
        self.assertFalse((docs / "results").exists())

    def test_refuses_a_folder_that_is_not_there_and_figures_that_are_none(self):
        done = self.call("report.py", self.folder / "nothing")
        self.assertIn("nothing: there is no such folder", done.stderr)
        (self.folder / "bad").mkdir()
        (self.folder / "bad/a.json").write_text("[]")
        done = self.call("report.py", "--from", self.folder / "bad", "--docs", self.docs("bad-docs"))
        self.assertIn("a.json: no figures of a study", done.stderr)
        self.assertEqual(self.call("report.py").returncode, 2)
        self.assertIn("--keep is for OUT", self.call("report.py", "--from", "docs/results", "--keep").stderr)

    def test_counts_every_network_that_stands_in_a_table(self):
        docs = self.docs("counts")
        self.report(docs)
        text = (docs / "results.md").read_text().split(pages.marker("front-cifar10"))[1]
        text = text.split(pages.end_marker("front-cifar10"))[0]
        self.assertEqual(len(re.findall(r"^\| (?!size)", text, re.M)), 2 + 6 * (2 + 2) + 2 * 2 + 3 + 5 * 2 + 3 + 1 + 2 + 7 + 2)


if __name__ == "__main__":
    run_tests()
