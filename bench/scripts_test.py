#!/usr/bin/env python3
"""Tests of compare.py and report.py on recorded figures, with programs that only print them."""
import copy
import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import report  # noqa: E402

MFI_LINE = {"work": "train", "width": 16, "batch": 128, "mode": "mfi", "precision": "bf16", "threads": 2, "steps": 19,
            "images_per_s": 769.3, "peak_memory_bytes": 422879232, "minor_faults_per_step": 377.3}

# Both sides' programs: note who runs, and print the next of the recorded figures.
PROGRAM = """#!{python}
import json, os, sys
folder, words = {folder!r}, sys.argv[1:]
if words == ["version"]:
    print("mfi 0.1.0, LibTorch 2.11.0\\nmachine:         AMD EPYC, 2 threads, AVX2")
    sys.exit()
if words[0] == "-c":  # asked, as a Python, for its versions
    print("2.11.0", "3.11.2")
    sys.exit()
side = words[words.index("--mode") + 1] if "--mode" in words else "mfi"
if os.path.exists(os.path.join(folder, side + ".fails")):
    sys.exit("no compiler found")
if "--profile" in words:
    print({line!r}, {profile!r}, sep="\\n\\n")
    sys.exit()
with open(os.path.join(folder, "log"), "a") as log:
    log.write(side + "\\n")
with open(os.path.join(folder, "log")) as log:
    number = log.read().split().count(side)
speed = {speeds}[side][(number - 1) % 5]
print("a warning on a line of its own")
line = json.loads({line!r}) | {{"mode": side, "images_per_s": speed}}
if "--loader" in words:
    line["waiting_percent"] = 0.35
print(json.dumps(line))
"""
PROFILE = """\
operation                                   calls a step  ms a step    share
----------------------------------------------------------------------------
convolution (Winograd) 3x3 16 -> 16, 32x32             6       8.07   31.0 %
weight's gradient 3x3 16 -> 16, 32x32                  6       5.00   20.5 %
aten::add                                              6       5.00   48.5 %
"""
# The medians are 800, 500 and 490.
SPEEDS = {"mfi": [700, 800, 900, 810, 790], "eager": [500, 400, 600, 450, 550], "compile": [490, 480, 510, 495, 100]}


class Comparison(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.mfi = self.path("mfi")
        with open(self.mfi, "w") as file:
            file.write(PROGRAM.format(python=sys.executable, folder=self.folder, speeds=SPEEDS,
                                      line=json.dumps(MFI_LINE), profile=PROFILE))
        os.chmod(self.mfi, stat.S_IRWXU)
        # Run as a Python, it takes the baseline's name for its first word.
        with open(self.path("baseline.py"), "w") as file:
            file.write("# another program's source")

    def path(self, name):
        return os.path.join(self.folder, name)

    def compare(self, *flags):
        return subprocess.run([sys.executable, os.path.join(HERE, "compare.py"), self.mfi, self.path("results.json"),
                               "--python", self.mfi, "--baseline", self.path("baseline.py"), *flags],
                              capture_output=True, text=True)

    def runs(self):
        with open(self.path("log")) as file:
            return file.read().split()

    def results(self):
        with open(self.path("results.json")) as file:
            return json.load(file)

    def test_runs_the_sides_in_turn_each_of_them_first_in_turn(self):
        done = self.compare("--only", "train-16-bf16", "--rounds", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.runs(), ["mfi", "eager", "compile", "eager", "compile", "mfi", "compile", "mfi", "eager",
                                       "mfi", "eager", "compile"])

    def test_keeps_what_it_has_and_adds_what_is_missing(self):
        self.compare("--only", "train-16-bf16", "--rounds", "2")
        self.compare("--only", "eval-64-fp32", "--rounds", "1")
        self.compare("--only", "train-16-bf16", "--rounds", "3")
        cases = self.results()["cases"]
        self.assertEqual({name: len(case["rounds"]) for name, case in cases.items()},
                         {"train-16-bf16": 3, "eval-64-fp32": 1})
        self.assertEqual(len(self.runs()), 3 * (3 + 1))

    def test_measures_anew_what_another_build_measured(self):
        self.compare("--only", "train-16-bf16", "--rounds", "2")
        with open(self.mfi, "a") as file:
            file.write("# changed\n")
        self.compare("--only", "train-16-bf16", "--rounds", "2")
        self.assertEqual(len(self.results()["cases"]["train-16-bf16"]["rounds"]), 2)
        self.assertEqual(len(self.runs()), 2 * 2 * 3)

    def test_refuses_the_figures_of_another_machine(self):
        self.compare("--only", "eval-16-bf16", "--rounds", "1")
        results = self.results()
        results["machine"]["machine"] = "another processor"
        with open(self.path("results.json"), "w") as file:
            json.dump(results, file)
        done = self.compare("--only", "eval-16-bf16", "--rounds", "1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("another processor", done.stderr)
        self.assertIn("--fresh", done.stderr)
        self.assertEqual(self.compare("--only", "eval-16-bf16", "--rounds", "1", "--fresh").returncode, 0)

    def test_keeps_the_rounds_before_a_side_fails_and_says_why_it_did(self):
        self.compare("--only", "map-16-bf16", "--rounds", "1")
        with open(self.path("compile.fails"), "w"):
            pass
        done = self.compare("--only", "map-16-bf16", "--rounds", "2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--mode compile: exit code 1\nno compiler found", done.stderr)
        self.assertEqual(len(self.results()["cases"]["map-16-bf16"]["rounds"]), 1)

    def test_names_the_cases_when_one_is_not_there(self):
        done = self.compare("--only", "train-17-bf16")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no case 'train-17-bf16'; there are train-16-bf16, eval-16-bf16", done.stderr)

    def test_keeps_a_profile_of_the_build_that_was_measured(self):
        self.compare("--only", "train-16-bf16,loader-train-16-bf16", "--rounds", "1")
        cases = self.results()["cases"]
        self.assertEqual(cases["train-16-bf16"]["profile"].strip(), PROFILE.strip())
        self.assertNotIn("profile", cases["loader-train-16-bf16"])

    def test_measures_the_loader_without_pytorch(self):
        self.compare("--only", "loader-train-16-bf16", "--rounds", "2")
        self.assertEqual(self.runs(), ["mfi", "mfi"])

    def test_ends_in_a_page(self):
        self.compare("--only", "train-16-bf16,loader-train-16-bf16", "--rounds", "5")
        page = self.path("page.md")
        done = subprocess.run([sys.executable, os.path.join(HERE, "report.py"), self.path("results.json"), "--out",
                               page], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(page) as file:
            text = file.read()
        self.assertIn("Machine: AMD EPYC, 2 threads, AVX2; ", text)
        self.assertIn("PyTorch 2.11.0, Python 3.11.2", " ".join(text.split()))
        self.assertIn("| training step | 16 | bf16 | 800 | 500 | 490 | 1.60 (1.40-2.00) | 1.6 | yes | 5 | ", text)
        self.assertIn("| 0.35 % (0.35-0.35) | 3 % | yes | 5 | ", text)
        self.assertIn("    mfi bench train --width 16 --precision bf16 --threads 2 --seconds 2\n", text)
        self.assertNotIn(self.folder, text)
        self.assertNotIn("no measurement", text)


def rounds_of(**speeds):
    sides = list(speeds)
    return [{side: MFI_LINE | {"images_per_s": speed} for side, speed in zip(sides, of_round)}
            for of_round in zip(*speeds.values())]


class Report(unittest.TestCase):
    def test_takes_the_ratio_of_medians_to_the_faster_mode_and_the_ratios_within_rounds(self):
        case = {"rounds": rounds_of(mfi=[100, 300, 200], eager=[50, 40, 60], compile=[40, 100, 80])}
        found, least, most = report.ratio(case)
        self.assertAlmostEqual(found, 200 / 80)
        self.assertAlmostEqual(least, 100 / 40)
        self.assertAlmostEqual(most, 300 / 100)

    def test_knows_a_target_for_every_comparison(self):
        for work in ("train", "eval", "map"):
            for width in (16, 64):
                self.assertEqual(report.target_of({"work": work, "width": width, "precision": "fp32"}), 1.2)
                self.assertGreaterEqual(report.target_of({"work": work, "width": width, "precision": "bf16"}), 1.5)

    def results(self, **speeds):
        commands = {side: f"run {side}" for side in speeds}
        case = {"work": "map", "width": 64, "precision": "fp32", "build": "a", "commands": commands,
                "rounds": rounds_of(**speeds)}
        machine = {"machine": "AMD EPYC", "cores": 2, "system": "Debian", "mfi": "mfi 0.1.0", "torch": "2.11.0",
                   "python": "3.11.2"}
        return {"machine": machine, "cases": {"map-64-fp32": case}}

    def test_says_which_targets_are_missed(self):
        text = report.document(self.results(mfi=[11.0], eager=[10.0], compile=[9.0]))
        self.assertIn("| 11.0 | 10.0 | 9.0 | 1.10 (1.10-1.10) | 1.2 | **no** | 1 |", text)
        self.assertIn("0 of 1 targets met.", text)

    def test_shows_where_the_time_goes_of_what_misses_its_target(self):
        results = self.results(mfi=[11.0], eager=[10.0], compile=[9.0])
        results["cases"]["map-64-fp32"]["profile"] = PROFILE
        text = report.document(results)
        self.assertIn("### Mapping step, width 64, fp32\n\n    run mfi --profile\n", text)
        self.assertIn("Convolutions and their gradients take 52 % of the time", text)
        self.assertIn("    aten::add       ", text)
        results["cases"]["map-64-fp32"]["rounds"] = rounds_of(mfi=[12.0], eager=[10.0], compile=[9.0])
        self.assertNotIn("--profile", report.document(results))

    def test_says_that_few_rounds_are_no_measurement(self):
        few = report.document(self.results(mfi=[2.0] * 4, eager=[1.0] * 4, compile=[1.0] * 4))
        enough = report.document(self.results(mfi=[2.0] * 5, eager=[1.0] * 5, compile=[1.0] * 5))
        self.assertIn("no measurement", " ".join(few.split()))
        self.assertNotIn("no measurement", " ".join(enough.split()))

    def test_says_that_rows_come_from_different_builds(self):
        results = self.results(mfi=[2.0], eager=[1.0], compile=[1.0])
        results["cases"]["eval-16-bf16"] = copy.deepcopy(results["cases"]["map-64-fp32"]) | {"build": "b"}
        self.assertIn("2 different builds", report.document(results))

    def test_tabulates_operations_by_the_median_of_their_repetitions(self):
        def entry(name, aggregate=None, **fields):
            return {"name": name, "run_name": name + "/real_time"} | fields | (
                {"aggregate_name": aggregate} if aggregate else {})

        conv, passed = "conv_bias/w16/bf16/3x3 16-16 32x32", "scale_shift/w16/bf16/16 32x32"
        ops = {"context": {"machine": "AMD EPYC", "fp32_peak_gflop_per_s": "235.3", "fp32_peak_instructions": "AVX512",
                           "bf16_peak_gflop_per_s": "471.3", "bf16_peak_instructions": "AVX512-BF16",
                           "memory_gb_per_s": "30.6", "l2_gb_per_s": "221.6"},
               "benchmarks": [entry(conv, **{"GFLOP/s": 1.0, "peak_percent": 1.0}),
                              entry(conv, "mean", **{"GFLOP/s": 2.0, "peak_percent": 2.0}),
                              entry(conv, "median", **{"GFLOP/s": 341.2, "peak_percent": 72.4}),
                              entry(conv, "cv", **{"GFLOP/s": 0.1, "peak_percent": 0.1}),
                              entry(passed, **{"GB/s": 72.4, "bandwidth_percent": 38.6})]}
        text = report.document(self.results(mfi=[2.0], eager=[1.0], compile=[1.0]), ops)
        self.assertIn("\n| 3x3 16-16 32x32 | 341 (72 %) | - | - | - | - |\n", text)
        self.assertIn("\n| pass | w16: 16 32x32 |\n|---|---|\n| scale_shift | 72 (39 %) |\n", text)


if __name__ == "__main__":
    unittest.main()
