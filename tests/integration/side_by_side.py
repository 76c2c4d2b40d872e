"""Runs the test classes in several processes, each with a server of its own.

The parent hands out one class at a time, those with most tests first, and prints what each wrote when
it ends; so the lines of one class stay together. A child is run.py with --child: it reads the ids of a
class's tests as one line of JSON and answers with one: what it wrote, and what it counted.
"""
import itertools
import json
import queue
import subprocess
import sys
import threading


def classes(tests):
    """Lists of ids, one list for each class, long ones first."""
    ids = [test.id() for test in tests]
    groups = [list(group) for _, group in itertools.groupby(ids, lambda id: id.rsplit(".", 1)[0])]
    return sorted(groups, key=len, reverse=True)


def serve(run, lines, answers):
    """The child's side: run(ids) gives a dictionary that JSON can say."""
    for line in lines:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


class Children:
    def __init__(self, command, tests):
        self.command, self.work = command, queue.SimpleQueue()
        self.total = {"passed": 0, "failed": 0, "skipped": 0}
        self.troubles, self.lock, self.processes = [], threading.Lock(), []
        for group in classes(tests):
            self.work.put(group)

    def run(self, count):
        """Returns what all of them counted; afterwards none of them is left."""
        threads = [threading.Thread(target=self._drive, args=(self._start(),)) for _ in range(count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._end()
        print("".join(self.troubles), end="")
        return self.total

    def _start(self):
        process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True)
        self.processes.append(process)
        return process

    def _end(self):
        for process in self.processes:
            if process.poll() is None:
                process.stdin.close()  # the end of its work
        for process in self.processes:
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _drive(self, process):
        while True:
            try:
                group = self.work.get_nowait()
            except queue.Empty:
                return
            try:
                process.stdin.write(json.dumps(group) + "\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
            except (OSError, ValueError):
                answer = {"text": "", "passed": 0, "failed": len(group), "skipped": 0,
                          "trouble": "ERROR: the process of %s ended\n" % group[0].rsplit(".", 1)[0]}
            with self.lock:
                self._count(answer)
            if process.poll() is not None:
                return

    def _count(self, answer):
        print(answer["text"], end="", flush=True)
        self.troubles.append(answer["trouble"])
        for key in self.total:
            self.total[key] += answer[key]
