#!/usr/bin/env python3
"""Tests of what peers.py does without PyTorch: reading a run and its data, counting epochs, table, chart, going on."""
import contextlib
import io
import json
import os
import re
import signal
import struct
import sys
import tarfile
import tempfile
import threading
import unittest
import xml.etree.ElementTree
from pathlib import Path

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "shared")]
sys.dont_write_bytecode = True
import chart  # noqa: E402
import cifar  # noqa: E402
import peers  # noqa: E402
import results  # noqa: E402
import settings  # noqa: E402
import svg  # noqa: E402
import table  # noqa: E402
import text_table  # noqa: E402
import whole_file  # noqa: E402
from errors import PeersError  # noqa: E402
from model_file import read_model_file  # noqa: E402
from run_folder import Run  # noqa: E402

try:
    import tomllib  # noqa: F401
    HAS_TOML = True
except ImportError:  # before Python 3.11
    HAS_TOML = False

RECIPE = """seed = 3
[data]
limit = 100
validation = 0.1
[pipeline]
{incubate}
[map]
epochs = 2
[meta]
epochs = 3
[incubate]
epochs = 4
[hybrid]
epochs = 6
[teacher]
epochs = 20
"""


def step(name, top1, parameters=1000, macs=9000, epochs=1):
    return {"step": name, "network": "net of " + name, "epochs": epochs, "parameters": parameters, "macs": macs,
            "test_top1_percent": top1, "model_sha256": "0" * 64}


def peer(method="random", match="params", scope="global", recipe="users", seed=0, top1=80.0, parameters=570, macs=4000):
    return {"peer": f"{method}-{match}-{scope}-{recipe}-s{seed}", "method": method, "match": match, "scope": scope,
            "recipe": recipe, "seed": seed, "parameters": parameters, "macs": macs, "test_top1_percent": top1,
            "settings": {"epochs": 15}}


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def expect_error(self, part, work):
        with self.assertRaises(PeersError) as caught:
            work()
        self.assertIn(part, str(caught.exception))


@unittest.skipUnless(HAS_TOML, "Python 3.11 reads TOML")
class ARun(InAFolder):
    def write(self, steps=None, incubate="# incubate: not given, so all but the last", dataset="cifar-10"):
        steps = steps or [step("teacher", 90.0, epochs=20), step("map", 20.0), step("hybrid", 89.0, 580, 8000, epochs=6)]
        (self.folder / "recipe.toml").write_text(RECIPE.format(incubate=incubate))
        (self.folder / "results.json").write_text(json.dumps(
            {"run": "r", "dataset": dataset, "training_images": 90, "test_images": 100, "steps": steps}))
        return self.folder

    def test_gives_the_epochs_that_the_hybrid_has_seen_after_its_teacher(self):
        self.assertEqual(Run(self.write()).epochs_after_teacher(), 2 + 3 + 4 + 6)
        self.assertEqual(Run(self.write(incubate="incubate = [1, 2]")).epochs_after_teacher(), 2 + 3 + 4 + 6)

    def test_does_not_count_an_incubation_that_there_was_not(self):
        self.assertEqual(Run(self.write(incubate="incubate = []")).epochs_after_teacher(), 2 + 3 + 6)

    def test_counts_mapping_and_fine_tuning_alone_where_the_way_is_short(self):
        self.assertEqual(Run(self.write(incubate="blocks = [2, 3, 2, 0]")).epochs_after_teacher(), 2 + 6)

    def test_takes_the_epochs_of_a_given_teacher_from_the_recipe(self):
        steps = [step("teacher", 90, epochs=0), step("hybrid", 89), step("distilled-resnet", 87, epochs=28)]
        run = Run(self.write(steps, incubate="blocks = [2, 3, 2, 0]"))
        self.assertEqual([(row["name"], row["epochs"]) for row in run.rows()],
                         [("teacher", 20), ("hybrid", 28), ("distilled-resnet", 28)])

    def test_is_refused_when_a_control_had_other_epochs(self):
        steps = [step("teacher", 90), step("hybrid", 89), step("no-mapping", 88, epochs=14)]
        self.expect_error("no-mapping had 14 epochs, but its recipe gives 15", lambda: Run(self.write(steps)))

    def test_is_refused_before_it_has_a_hybrid(self):
        for steps in ([step("teacher", 90)], [step("teacher", 90), step("map", 20)]):
            self.expect_error("no hybrid yet", lambda: Run(self.write(steps)))

    def test_knows_the_hybrids_size_from_the_mapping_on_where_the_way_is_short(self):
        steps = [step("teacher", 90.0), step("map", 20.0, 570, 7000)]
        run = Run(self.write(steps, incubate="blocks = [2, 3, 2, 0]"))
        self.assertEqual([run.limit(match) for match in ("params", "macs")], [570, 7000])
        self.assertEqual([row["name"] for row in run.rows()], ["teacher"])
        self.assertIn("below 8.3 points", "\n".join(table.notes(run.rows(), 90, 100)))

    def test_is_refused_when_its_images_are_none_that_can_be_read(self):
        self.expect_error("its dataset is sample", lambda: Run(self.write(dataset="sample")))

    def test_is_refused_where_there_is_none(self):
        self.expect_error("expected the folder of a finished `mfi run`", lambda: Run(self.folder / "nothing"))

    def test_knows_the_share_of_labels_of_its_recipe(self):
        folder = self.write()
        self.assertEqual(Run(folder).labelled(), 1)  # a recipe from before that key
        recipe = folder / "recipe.toml"
        recipe.write_text(recipe.read_text().replace("limit = 100", "limit = 100\nlabelled = 0.1"))
        self.assertEqual(Run(folder).labelled(), 0.1)

    def test_limits_peers_by_the_hybrid(self):
        run = Run(self.write())
        self.assertEqual((run.limit("params"), run.limit("macs")), (580, 8000))

    def test_shows_teacher_hybrid_and_controls_with_all_epochs_that_their_weights_have_seen(self):
        run = Run(self.write([step("teacher", 90, epochs=20), step("map", 20), step("incubate-1", 50), step("hybrid", 89),
                              step("no-mapping", 88, epochs=15), step("distilled-resnet", 87, epochs=34)]))
        self.assertEqual([(row["name"], row["epochs"]) for row in run.rows()],
                         [("teacher", 20), ("hybrid", 35), ("no-mapping", 35), ("distilled-resnet", 34)])

    def test_refuses_a_teacher_that_is_not_the_one_of_its_results(self):
        run = Run(self.write())
        (self.folder / "teacher").mkdir()
        self.expect_error("cannot be read", run.check_teacher_file)
        run.teacher_file.write_bytes(b"another")
        self.expect_error("another SHA-256", run.check_teacher_file)

    def test_leaves_a_table_a_chart_and_data(self):
        run = Run(self.write())
        text = results.write_all(self.folder, run, {"macs": 9000}, [peer(top1=85.0)])
        self.assertIn("random, params, global", text)
        self.assertEqual((self.folder / "table.txt").read_text(), text)
        self.assertIn("| teacher | mfi |", (self.folder / "table.md").read_text())
        data = json.loads((self.folder / "peers.json").read_text())
        self.assertEqual(data["rows"][-1]["test_top1_percent"], [85.0])
        xml.etree.ElementTree.parse(self.folder / "chart.svg")


class ResultFiles(InAFolder):
    def test_are_taken_for_done_while_all_settings_are_the_same(self):
        file = self.folder / "a.json"
        self.assertIsNone(results.read_done(file, {"epochs": 3}))
        whole_file.write_json(file, {"settings": {"epochs": 3}, "macs": 7})
        self.assertEqual(results.read_done(file, {"epochs": 3})["macs"], 7)
        self.assertIsNone(results.read_done(file, {"epochs": 4}))

    def test_that_are_damaged_are_named(self):
        (self.folder / "a.json").write_text("{")
        self.expect_error("a.json: cannot be read", lambda: results.read_done(self.folder / "a.json", {}))


class AModelFile(InAFolder):
    def write(self, arch='{"name": "a"}', values=b"\0\0\x80\x3f\0\0\0\x40", cut=0, **changes):
        entry = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]} | changes
        header = json.dumps({"__metadata__": {"mfi.format": "model-2", "mfi.arch": arch, "mfi.info": "{}"},
                             "head.weight": entry}).encode()
        file = self.folder / "model.safetensors"
        raw = struct.pack("<Q", len(header)) + header + values
        file.write_bytes(raw[:len(raw) - cut])
        return file

    def test_gives_the_network_and_its_tensors(self):
        model = read_model_file(self.write())
        self.assertEqual(model.arch, {"name": "a"})
        self.assertEqual(model.tensors["head.weight"].shape, (1, 2))
        self.assertEqual(struct.unpack("<2f", model.tensors["head.weight"].data), (1.0, 2.0))

    def test_is_refused_when_it_is_none(self):
        for changes in ({"cut": 1}, {"cut": 100}, {"arch": "{"}, {"dtype": "F16"}, {"shape": [3]}):
            self.expect_error("expected a model that mfi wrote", lambda: read_model_file(self.write(**changes)))
        self.expect_error("cannot be read", lambda: read_model_file(self.folder / "nothing"))


class Cifar(InAFolder):
    def write(self, folder, label_bytes=1):
        """Ten training images in five files and three test images, all of their pixels as their number."""
        folder.mkdir(parents=True)
        record = lambda n: bytes([0] * (label_bytes - 1) + [n % 3]) + bytes([n]) * cifar.PIXELS  # noqa: E731
        for i in range(5):
            (folder / f"data_batch_{i + 1}.bin").write_bytes(record(2 * i) + record(2 * i + 1))
        (folder / "test_batch.bin").write_bytes(record(10) + record(11) + record(12))

    def test_is_read_in_the_files_order(self):
        self.write(self.folder / "cifar-10-batches-bin")
        data = cifar.open_cifar("cifar-10", self.folder, 0, 0, 0)
        self.assertEqual(list(data.train.pixels[::cifar.PIXELS]), list(range(10)))
        self.assertEqual(list(data.train.labels), [n % 3 for n in range(10)])
        self.assertEqual(list(data.test.labels), [1, 2, 0])

    def test_is_the_same_from_folder_and_archive(self):
        self.write(self.folder / "cifar-10-batches-bin")
        with tarfile.open(self.folder / "a.tar.gz", "w:gz") as tar:
            tar.add(self.folder / "cifar-10-batches-bin", "cifar-10-batches-bin")
        places = (self.folder, self.folder / "cifar-10-batches-bin", self.folder / "a.tar.gz")
        self.assertEqual(len({cifar.open_cifar("cifar-10", place, 0, 0, 0).fingerprint for place in places}), 1)

    def test_that_is_cut_off_is_refused(self):
        self.write(self.folder / "cifar-10-batches-bin")
        with open(self.folder / "cifar-10-batches-bin/data_batch_3.bin", "ab") as file:
            file.write(b"x")
        self.expect_error("data_batch_3.bin: 6147 bytes", lambda: cifar.open_cifar("cifar-10", self.folder, 0, 0, 0))
        self.expect_error("cifar-100 not found", lambda: cifar.open_cifar("cifar-100", self.folder, 0, 0, 0))

    def test_is_limited_to_the_first_of_each_class(self):
        self.assertEqual(cifar.first_of_each_class(bytes([0, 0, 0, 1, 2, 1]), 3, 4), [0, 1, 3, 4])

    # The numbers are those of mfi/data/splits_test.cpp.
    def test_holds_out_the_images_that_mfi_holds_out(self):
        labels = bytes(0 if n % 6 < 1 else 1 if n % 6 < 3 else 2 for n in range(60))
        kept = cifar.not_held_out(labels, 3, 0.2, 7)
        few = cifar.not_held_out(labels, 3, 2 / 60, 7)
        self.assertEqual(sorted(labels[n] for n in range(60) if n not in few), [1, 2])  # the larger classes give first
        self.assertEqual([n for n in range(60) if n not in kept], [2, 12, 14, 20, 21, 24, 27, 34, 44, 47, 52, 57])

    def test_keeps_the_labels_that_mfi_keeps(self):
        labels = bytes(0 if n % 6 < 1 else 1 if n % 6 < 3 else 2 for n in range(60))
        self.assertEqual(cifar.keep_labels(labels, 3, 0.2, 7), [12, 25, 27, 31, 33, 40, 41, 46, 50, 53, 54, 56])
        self.assertEqual(cifar.keep_labels(labels, 3, 1e-9, 7), [41])  # one at least
        self.assertEqual(cifar.keep_labels(labels, 3, 1.0, 7), list(range(60)))

    def test_keeps_labels_among_the_images_that_are_not_held_out(self):
        self.write(self.folder / "cifar-10-batches-bin")
        data = cifar.open_cifar("cifar-10", self.folder, 0, 0.2, 0, labelled=0.5)
        self.assertEqual((len(data.train), len(data.labelled)), (8, 4))
        self.assertEqual(data.labelled, cifar.keep_labels(data.train.labels, 10, 0.5, 0))
        self.assertEqual(cifar.open_cifar("cifar-10", self.folder, 0, 0.2, 0).labelled, list(range(8)))


class Settings(unittest.TestCase):
    def test_of_users_fall_to_a_tenth_after_three_and_four_fifths_of_the_epochs(self):
        rates = [settings.learning_rate(settings.users_settings(), 10, 5, batch) for batch in range(50)]
        for epoch, rate in enumerate([0.01] * 6 + [0.001] * 2 + [0.0001] * 2):
            for batch in range(5):
                self.assertAlmostEqual(rates[5 * epoch + batch], rate)

    def test_of_users_do_not_fall_within_a_single_epoch(self):
        self.assertEqual(settings.learning_rate(settings.users_settings(), 1, 5, 4), 0.01)

    def ours(self, **changes):
        recipe = {"optimiser": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine",
                  "warmup_epochs": 0.0, "label_smoothing": 0.1, "ema": 0.0, "distillation": 0.0, "temperature": 4.0,
                  "batch_size": 64, "augment": True} | changes
        return settings.our_settings({"hybrid": recipe})

    # By hand from the formulas of mfi/train/schedule.cpp.
    def test_of_ours_follow_mfis_schedules(self):
        rate = lambda changes, batch: settings.learning_rate(self.ours(**changes), 2, 5, batch)  # noqa: E731
        self.assertAlmostEqual(rate({}, 0), 0.05)
        self.assertAlmostEqual(rate({}, 5), 0.025)
        self.assertAlmostEqual(rate({"schedule": "constant"}, 9), 0.05)
        self.assertAlmostEqual(rate({"schedule": "constant", "warmup_epochs": 0.8}, 0), 0.01)
        self.assertAlmostEqual(rate({"schedule": "one-cycle"}, 0), 0.002)
        self.assertAlmostEqual(rate({"schedule": "one-cycle"}, 3), 0.05)

    def test_of_ours_leave_out_the_distance_of_features_which_a_pruned_network_has_not(self):
        self.assertEqual(self.ours(features=1.0), self.ours())

    def test_of_ours_flip_and_look_ahead_as_the_recipe_says(self):
        ours = self.ours(flip="alternating", lookahead=6)
        self.assertEqual((ours.flip, ours.lookahead), ("alternating", 6))
        self.assertEqual((self.ours().flip, self.ours().lookahead), ("random", 0))  # a recipe from before these keys

    # When mfi can do more in its fine-tuning, the peers are to have it too.
    def test_of_ours_know_every_key_of_a_hybrid(self):
        page = (Path(HERE).parent.parent / "docs/recipes.md").read_text()
        keys = set(re.findall(r"^\| `hybrid\.(\w+)`", page, re.M))
        self.assertIn("learning_rate", keys)
        self.assertEqual(keys - set(settings.LEFT_OUT), set(vars(self.ours())) - {"nesterov", "decay_all"})

    def test_of_ours_use_nesterov_momentum_and_spare_biases_and_norms(self):
        ours = self.ours()
        self.assertTrue(ours.nesterov)
        self.assertFalse(ours.decay_all)
        self.assertEqual((ours.batch_size, ours.label_smoothing), (64, 0.1))


def some_rows(*peer_list):
    rows = [{"name": name, "by": "mfi", "detail": "", "epochs": epochs, "parameters": [parameters], "macs": [macs],
             "test_top1_percent": [top1]}
            for name, epochs, parameters, macs, top1 in (("teacher", 20, 1000, 9000, 90.0), ("hybrid", 35, 580, 8000, 89.0),
                                                         ("teacher-longer", 35, 1000, 9000, 90.5),
                                                         ("smaller-resnet", 35, 570, 5000, 88.0))]
    return rows + table.peer_rows(peer_list, 20)


class Table(unittest.TestCase):
    def test_puts_the_seeds_of_a_peer_together(self):
        rows = some_rows(peer(seed=0, top1=80), peer(seed=1, top1=82), peer(match="macs", top1=70), peer(seed=2, top1=84))
        self.assertEqual([row["name"] for row in rows[4:]], ["random, params, global", "random, macs, global"])
        self.assertEqual(table.cells(rows[4], rows[0]),
                         ["random, params, global, its users' settings", "Torch-Pruning", "35", "570", "57.0 %", "4.0 k",
                          "44.4 %", "82.00 % (80.00 to 84.00)", "3"])

    def test_keeps_scope_and_settings_apart(self):
        rows = some_rows(peer(), peer(scope="local"), peer(recipe="ours"))
        self.assertEqual(len(rows), 4 + 3)

    def test_is_aligned(self):
        lines = table.as_text(some_rows(peer())).splitlines()
        self.assertEqual(len(lines), 2 + 5)
        self.assertEqual(len({len(line) for line in lines}), 1)

    def test_has_as_many_columns_in_each_line_of_markdown(self):
        lines = table.as_markdown(some_rows(peer(), peer(scope="local"))).splitlines()
        self.assertEqual({line.count("|") for line in lines}, {len(table.HEADER) + 1})

    def test_says_what_chance_may_give_and_which_controls_are_missing(self):
        words = " ".join(table.notes(some_rows(), 90, 10000))
        self.assertIn("90 training images, 10000 test images", words)
        self.assertIn("below 0.9 points may be chance", words)
        self.assertIn("Not run: distilled-resnet", words)
        self.assertNotIn("have labels", words)
        self.assertIn("1 % of the training images have labels.", " ".join(table.notes(some_rows(), 90, 10000, 0.01)))

    def test_writes_counts_as_mfi_does(self):
        self.assertEqual([text_table.count_text(n) for n in (464, 14032, 1334618, 1.16e9)],
                         ["464", "14.0 k", "1.33 M", "1.16 G"])


class Chart(unittest.TestCase):
    def draw(self, rows):
        return xml.etree.ElementTree.fromstring(chart.chart(rows, "a <run> & its peers"))

    def test_is_well_formed_and_holds_each_network_twice_and_in_the_legend(self):
        rows = some_rows(peer(), peer(scope="local", recipe="ours", seed=1), peer(method="bn-sl", match="macs"))
        svg = self.draw(rows)
        marks = [e for e in svg.iter() if e.tag.split("}")[1] in ("polygon", "circle")]
        self.assertEqual(len(marks), 3 * len(rows))

    def test_stays_within_its_borders(self):
        svg = self.draw(some_rows(*[peer(seed=s, top1=10 + s) for s in range(4)]))
        for mark in svg.iter("{http://www.w3.org/2000/svg}polygon"):
            for point in mark.get("points").split():
                x, y = map(float, point.split(","))
                self.assertTrue(0 <= x <= chart.WIDTH and 0 <= y <= float(svg.get("viewBox").split()[3]), point)

    def test_shows_the_range_of_several_seeds(self):
        one = chart.chart(some_rows(peer(top1=80)), "t")
        two = chart.chart(some_rows(peer(top1=79), peer(top1=81, seed=1)), "t")
        ranges = lambda text: text.count(f'stroke="{svg.METHODS["random"]}"/>')  # noqa: E731
        self.assertEqual((ranges(one), ranges(two)), (0, 2))

    def test_can_draw_networks_that_are_all_alike(self):
        rows = some_rows()[:1]
        self.draw(rows)


class SomePixels:
    """What Data asks of train.Pixels."""

    def __init__(self, indices, labelled):
        self.indices, self.labelled = list(indices), list(labelled)

    def __len__(self):
        return len(self.indices)

    def only(self, indices):
        return SomePixels(indices, indices)

    def with_labels_at(self, indices):
        return SomePixels(self.indices, indices)


class DataOfARun(unittest.TestCase):
    def seen(self, labelled, **changes):
        data = peers.Data(SomePixels(range(4), range(4)), labelled, None)
        seen = data.seen_by(settings.TrainSettings(**(vars(settings.users_settings()) | changes)))
        return seen.indices, seen.labelled

    def test_is_seen_whole_by_who_is_taught_and_else_where_it_has_labels(self):
        self.assertEqual(self.seen([1, 3]), ([1, 3], [1, 3]))
        self.assertEqual(self.seen([1, 3], distillation=0.5), ([0, 1, 2, 3], [1, 3]))
        self.assertEqual(self.seen([0, 1, 2, 3]), ([0, 1, 2, 3], [0, 1, 2, 3]))


class Mfi(InAFolder):
    def test_that_cannot_be_run_is_named(self):
        self.expect_error("no-such-mfi: cannot be run", lambda: peers.run_mfi(["./no-such-mfi"]))

    def test_that_fails_is_named_with_its_command(self):
        self.expect_error("false failed", lambda: peers.run_mfi(["false"]))

    def test_may_save_its_state_when_it_is_interrupted(self):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        saved = self.folder / "saved"
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with self.assertRaises(KeyboardInterrupt):
            peers.run_mfi(["sh", "-c", f"sleep 2; touch '{saved}'"])
        self.assertTrue(saved.exists())

    @unittest.skipUnless(HAS_TOML, "Python 3.11 reads TOML")
    def test_is_not_asked_for_controls_of_a_run_whose_pictures_it_would_not_know(self):
        (self.folder / "recipe.toml").write_text(RECIPE.format(incubate=""))
        (self.folder / "results.json").write_text(json.dumps(
            {"run": "r", "dataset": "cifar-10", "training_images": 90, "test_images": 100, "unlabelled_pictures": 5,
             "steps": [step("teacher", 90.0), step("hybrid", 89.0)]}))
        args = peers.parse(["no-such-mfi", str(self.folder), "--data", "d", "--controls"])
        self.expect_error("pictures without labels", lambda: peers.work(args))


class CommandLine(unittest.TestCase):
    def test_plans_every_combination_once_the_seeds_beside_each_other(self):
        args = peers.parse(["mfi", "run", "--methods", "random,bn-sl", "--match", "macs", "--seeds", "0,5"])
        self.assertEqual(peers.planned(args),
                         [("random", "macs", "global", "users", 0), ("random", "macs", "global", "users", 5),
                          ("random", "macs", "local", "users", 0), ("random", "macs", "local", "users", 5),
                          ("bn-sl", "macs", "global", "users", 0), ("bn-sl", "macs", "global", "users", 5),
                          ("bn-sl", "macs", "local", "users", 0), ("bn-sl", "macs", "local", "users", 5)])

    def test_refuses_what_it_does_not_know(self):
        for words in (["--methods", "magic"], ["--seeds", "a"], ["--epochs", "0"], ["--match", "time"]):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as said:
                peers.parse(["mfi", "run", *words])
            self.assertIn(words[1], said.getvalue())


if __name__ == "__main__":
    unittest.main()
