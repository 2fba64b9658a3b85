"""Carries out the calls that a study is made of: one after the other, or several at a time."""
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

from errors import StudyError
from tasks import DONE, command_text

INTERRUPTED, TERMINATED = 130, 143


def options_of(task, options, jobs):
    """Programs at work beside each other share the machine's cores; one that is alone has them all."""
    if jobs == 1 or task.alone or options.threads:
        return options
    return dataclasses.replace(options, threads=max(1, len(os.sched_getaffinity(0)) // jobs))


def time_text(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def say(text):
    print(text, file=sys.stderr, flush=True)


class Program:
    """A task's program at work."""

    def __init__(self, task, words, named_lines):
        """With named_lines all that it says stands behind the task's name, as others speak too."""
        self.task, self.words, self.start = task, words, time.monotonic()
        pipe = subprocess.PIPE if named_lines else None
        try:
            self.process = subprocess.Popen(words, stdout=pipe, stderr=pipe, text=named_lines or None, errors="replace")
        except OSError as error:
            raise StudyError(f"{words[0]}: {error.strerror}")
        self.readers = [threading.Thread(target=self._hand_on, args=streams) for streams in
                        ((self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr))] if named_lines else []
        for reader in self.readers:
            reader.start()

    def _hand_on(self, its, ours):
        for line in its:
            try:
                ours.write(f"{self.task.name}: {line.rstrip()}\n")
                ours.flush()
            except (OSError, ValueError):
                pass  # nobody reads us any more; the program is still to be read, or it would wait for ever

    def code(self):
        """Its exit code, as a shell says it, or None while it works."""
        code = self.process.poll()
        if code is None:
            return None
        for reader in self.readers:
            reader.join()
        return code if code >= 0 else 128 - code

    def took(self):
        return time_text(time.monotonic() - self.start)


class Programs:
    """All that are at work. Ctrl-C reaches them as it reaches us, so we only wait; SIGTERM is passed on. mfi saves its state
    first; a peer is begun anew."""

    def __init__(self):
        self.at_work, self.stopped_by = [], 0  # the exit code that says by what
        signal.signal(signal.SIGTERM, self._terminate)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as behind a shell's &
            signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_):
        self.stopped_by = INTERRUPTED

    def _terminate(self, *_):
        self.stopped_by = TERMINATED
        for program in self.at_work:
            program.process.terminate()

    def start(self, task, words, named_lines):
        program = Program(task, words, named_lines)
        self.at_work.append(program)
        if self.stopped_by:  # while it was being started
            program.process.terminate()

    def wait(self):
        """The next one that has ended, with its exit code."""
        while True:
            for program in self.at_work:
                code = program.code()
                if code is not None:
                    self.at_work.remove(program)
                    return program, code
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            except ChildProcessError:
                pass  # the handler of SIGTERM has met it as it ended


def next_task(waiting, at_work, jobs):
    """The first of those waiting that can begin now, or None. One that is to be alone is not overtaken."""
    if len(at_work) >= jobs or any(each.alone for each in at_work):
        return None
    for index, task in enumerate(waiting):
        if not _has_to_wait(task, at_work + waiting[:index]):
            return None if task.alone and at_work else task
    return None


def _has_to_wait(task, before):
    """For what makes its inputs, or works in the same folder."""
    return any(each.name in task.after or each.folder == task.folder for each in before)


def carry_out(parts, options, jobs=1):
    """`parts`: lists of tasks, of which each is asked for when all of the one before are done. Whoever stops us between two of
    them stops us too."""
    programs = Programs()
    for tasks in parts:
        _carry_out_part(tasks, options, jobs, programs)


def _carry_out_part(tasks, options, jobs, programs):
    """After a failure no more are begun, but those at work end: they may have hours behind them."""
    waiting, failure = list(tasks), None
    numbers = {task.name: f"[{number}/{len(tasks)}]" for number, task in enumerate(tasks, 1)}
    while True:
        try:
            while not failure and not programs.stopped_by:
                at_work = [program.task for program in programs.at_work]
                _drop_done(waiting, at_work)
                task = next_task(waiting, at_work, jobs)
                if not task:
                    break
                waiting.remove(task)
                task.require_inputs()
                words = task.commands(options_of(task, options, jobs))[0]
                say(f"\n{numbers[task.name]} {task.name}\n    {command_text(words)}")
                programs.start(task, words, named_lines=jobs > 1)
            if not programs.at_work:
                break
            _end(*programs.wait())
        except StudyError as error:
            if failure:
                say(f"study.py: {error}")
            failure = failure or error
            if programs.at_work and not programs.stopped_by:
                names = ", ".join(program.task.name for program in programs.at_work)
                say(f"{error}\nNo more runs are begun; still at work: {names}")
    if failure:
        raise failure
    if programs.stopped_by:
        raise StudyError("stopped; the same command goes on", programs.stopped_by)


def _drop_done(waiting, at_work):
    """Asked anew each time: what has just ended may have made them, or made them out of date."""
    for task in list(waiting):
        if not _has_to_wait(task, at_work + waiting[:waiting.index(task)]) and task.state().word == DONE:
            say(f"{task.name}: done")
            waiting.remove(task)


def _end(program, code):
    task, took = program.task, program.took()
    if code in (INTERRUPTED, TERMINATED):
        raise StudyError(f"{task.name}: stopped after {took}; the same command goes on", code)
    if code != 0:
        raise StudyError(f"{task.name}: ended after {took} with exit code {code}, for the reason above: "
                         f"{command_text(program.words)}", code)
    task.finish()
    state = task.state()
    if state.word != DONE:
        raise StudyError(f"{task.name}: the command ended well, but what it left is {state}")
    say(f"{task.name}: done after {took}")
