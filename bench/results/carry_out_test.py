#!/usr/bin/env python3
"""Tests of carrying out a study's tasks: their order, several at a time, and stopping them. A made-up mfi trains nothing."""
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "shared")]
sys.dont_write_bytecode = True
from carry_out import carry_out, next_task, options_of, time_text  # noqa: E402
from errors import StudyError  # noqa: E402
from made_up_folder import MFI, SOURCE, InAFolder, run_tests  # noqa: E402
from plan import Plan, read_experiments  # noqa: E402
from tasks import Options  # noqa: E402


class TheNextTask(unittest.TestCase):
    def setUp(self):
        self.plan = Plan("out", read_experiments(), [0])

    def tasks(self, *names):
        there = {task.name: task for study in ("teacher", "search", "front", "peers") for dataset in ("cifar10", "cifar100")
                 for task in self.plan.tasks(study, dataset)}
        return [there[name] for name in names]

    def next(self, waiting, at_work, jobs=2):
        task = next_task(self.tasks(*waiting), self.tasks(*at_work), jobs)
        return task and task.name

    def test_is_the_first_one(self):
        self.assertEqual(self.next(["cifar10/teacher", "cifar100/teacher"], [], 1), "cifar10/teacher")
        self.assertIsNone(self.next([], [], 1))

    def test_takes_the_place_of_one_that_ended(self):
        two = ["cifar10/front/0.6-s0", "cifar10/front/0.4-s0"]
        self.assertEqual(self.next(two[1:], two[:1]), two[1])
        self.assertIsNone(self.next(two[1:], two[:1], jobs=1))

    def test_waits_for_what_makes_its_inputs(self):
        teacher, search, front, peers = ("cifar10/teacher", "cifar10/search-0.3", "cifar10/front/0.3-s0",
                                         "cifar10/front/0.3-s0/peers")
        for before, after in ((teacher, search), (search, front), (front, peers)):
            self.assertIsNone(self.next([after], [before]))
            self.assertEqual(self.next([before, after], []), before)
            self.assertIsNone(self.next([after], [teacher]))  # of what that one is made of too
        self.assertEqual(self.next([peers, "cifar10/front/0.4-s0"], [front]), "cifar10/front/0.4-s0")

    def test_works_in_a_folder_of_its_own(self):
        self.assertIsNone(self.next(["cifar10/search-0.4"], ["cifar10/search-0.6"]))
        self.assertIsNone(self.next(["cifar10/search-0.6"], ["cifar10/teacher"]))

    def test_is_no_search_beside_others_and_nothing_overtakes_one(self):
        self.assertIsNone(self.next(["cifar10/search-0.6", "cifar100/front/0.6-s0"], ["cifar100/teacher"]))
        self.assertEqual(self.next(["cifar10/search-0.6", "cifar100/front/0.6-s0"], []), "cifar10/search-0.6")
        self.assertIsNone(self.next(["cifar100/front/0.6-s0"], ["cifar10/search-0.6"]))

    def test_shares_the_cores_with_those_beside_it(self):
        run, search = self.tasks("cifar10/front/0.6-s0", "cifar10/search-0.6")
        cores = len(os.sched_getaffinity(0))
        for task, threads, jobs, expected in ((run, None, 1, None), (run, None, 2, max(1, cores // 2)), (run, 3, 2, 3),
                                              (run, None, 2 * cores, 1), (search, None, 2, None), (search, 3, 2, 3)):
            self.assertEqual(options_of(task, Options("mfi", threads=threads), jobs).threads, expected)


class CarryingOut(InAFolder):
    def test_says_how_long_each_took(self):
        done = self.study("teacher", "--dataset", "cifar10")
        self.assertRegex(done.stderr, r"cifar10/teacher: done after \d+ s\n")
        self.assertEqual([time_text(seconds) for seconds in (0.4, 59.6, 3599, 3725)], ["0 s", "1 min 0 s", "59 min 59 s", "1 h 2 min"])

    def test_waits_for_the_program_when_it_is_stopped_and_says_how_to_go_on(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            said = self.stopped(number, code, ["cifar-10"], "teacher", "--dataset", "cifar10")
            self.assertRegex(said, r"study.py: cifar10/teacher: stopped after \d+ s; the same command goes on")

    def stopped(self, number, code, datasets, *words):
        """What study.py said that was sent a signal when the runs of these had begun."""
        begun = self.folder / f"begun-{code}"
        process = subprocess.Popen(self.words(*words), stderr=subprocess.PIPE, text=True, cwd=SOURCE, start_new_session=True,
                                   env=self.environment | {"MADE_UP_WAIT": str(begun)})
        for _ in range(200):
            if all(Path(f"{begun}-{dataset}").exists() for dataset in datasets):
                break
            time.sleep(0.05)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does: ours and the programs'
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, code, said)
        return said

    def test_makes_two_at_a_time(self):
        teachers = ("teacher", "--jobs", "2")
        done = self.study(*teachers, MADE_UP_MEET=str(self.folder))  # each waits for the other
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.states(*teachers), {"cifar10/teacher": "done", "cifar100/teacher": "done"})
        for dataset in ("cifar10", "cifar100"):
            self.assertIn(f"{dataset}/teacher: mfi: met another\n", done.stderr)
            self.assertIn(f"{dataset}/teacher: {dataset}-resnet34-w16 is trained\n", done.stdout)
            self.assertRegex(done.stderr, rf"\[\d/2\] {dataset}/teacher\n    .*made_up_mfi.py run recipes/{dataset}-resnet34-w16.toml")
            self.assertRegex(done.stderr, rf"{dataset}/teacher: done after \d+ s\n")

    def test_makes_one_at_a_time_where_nothing_else_is_said(self):
        done = self.study("teacher", MADE_UP_MEET=str(self.folder))
        self.assertEqual(done.returncode, 1)
        self.assertIn("mfi: met nobody", done.stderr)
        self.assertEqual(len(self.calls()), 1)

    def test_makes_all_of_a_study_in_order_with_several_at_a_time(self):
        study = ("teacher", "search", "front", "peers", "--dataset", "cifar10", "--seeds", "0", "--jobs", "3")
        done = self.study(*study)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(self.states(*study).values()), {"done"})
        self.assertEqual([call[0] for call in self.calls()], ["run"] + 11 * ["search"] + 6 * ["run"])

    def test_begins_nothing_more_where_one_fails_and_lets_the_others_end(self):
        program = self.folder / "mfi"
        program.write_text('#!/bin/sh\ncase "$2" in *cifar100*) echo "mfi: no space" >&2; exit 74;; esac\n'
                           f'sleep 1\nexec {MFI} "$@"\n')
        program.chmod(0o755)
        words = [str(program) if word == str(MFI) else word for word in self.words("teacher", "search", "--jobs", "2")]
        failed = subprocess.run(words, capture_output=True, text=True, cwd=SOURCE, timeout=60, env=self.environment)
        self.assertEqual(failed.returncode, 74)
        self.assertIn("cifar100/teacher: mfi: no space\n", failed.stderr)
        self.assertIn("No more runs are begun; still at work: cifar10/teacher\n", failed.stderr)
        self.assertRegex(failed.stderr, r"cifar10/teacher: done after \d+ s\nstudy.py: cifar100/teacher: ended after \d+ s with "
                         "exit code 74")
        self.assertEqual([call[0] for call in self.calls()], ["run"])

    def test_asks_how_far_a_run_is_when_its_turn_comes(self):
        front = ("front", "--dataset", "cifar10", "--seeds", "0", "--only", "0.3-s0")
        self.sized("0.3")
        self.assertEqual(self.study(*front).returncode, 0)
        (self.out / "cifar10/teacher/step.json").unlink()  # made anew, it is the same
        before = len(self.calls())
        self.assertEqual(self.study("teacher", *front, "--only", "cifar10").returncode, 1)  # other sizes are not searched
        self.assertEqual([call[0] for call in self.calls()[before:]], ["run"])
        self.assertEqual(set(self.states(*front).values()), {"done"})

    def test_begins_nothing_when_it_was_stopped_between_two_parts(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

        def parts(number):
            yield []
            os.kill(os.getpid(), number)  # while the second one is planned
            yield Plan(self.out, read_experiments()).tasks("teacher", "cifar10")

        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.assertRaises(StudyError) as caught:
                carry_out(parts(number), Options("no-such-program"))
            self.assertEqual((str(caught.exception), caught.exception.exit_code), ("stopped; the same command goes on", code))

    def test_stops_all_of_them_when_it_is_stopped(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            said = self.stopped(number, code, ["cifar-10", "cifar-100"], "teacher", "--jobs", "2")
            for dataset in ("cifar10", "cifar100"):
                self.assertRegex(said, rf"{dataset}/teacher: stopped after \d+ s; the same command goes on")


if __name__ == "__main__":
    run_tests()
