# SPDX-License-Identifier: MIT
"""The cluster that scripts/cluster has made around this process: its nodes, and what is asked of
them by HTTP."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import time

READY_S = 30  # a restart recovers first, on a machine that may be busy
ASK_S = 4


class Node:
    def __init__(self, number, address, pid, data):
        self.number, self.address, self.pid, self.data = number, address, pid, data
        self.child = None  # once this process has started it

    def log(self):
        with open(self.data + ".log", errors="replace") as log:
            return log.read()

    def runs(self):
        if self.child:
            return self.child.poll() is None
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except FileNotFoundError:
            return False

    def send(self, number):
        os.kill(self.pid, number)

    def await_end(self):
        """The device is free only then."""
        until(lambda: not self.runs(), f"node {self.number} does not end")

    def start(self):
        """Begins a new life; its log is of this life alone."""
        with open(self.data + ".log", "w") as log:
            self.child = subprocess.Popen(
                [os.environ["STRAIT"], "kv", "node", "--id", str(self.number),
                 "--tun", f"tun{self.number}", "--addr", f"{self.address}/24",
                 "--peer", f"10.8.{self.number}.1", "--cluster", os.environ["STRAIT_CLUSTER"],
                 "--data", self.data],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.child.pid

    def await_ready(self):
        until(lambda: " is ready on " in self.log() or not self.runs(),
              f"node {self.number} does not become ready")
        assert self.runs(), f"node {self.number} has ended: {self.log()}"

    def stop(self):
        """Ends it in order; of a node that this process has started the status is looked at."""
        self.send(signal.SIGTERM)
        self.await_end()
        assert not self.child or self.child.returncode == 0, \
            f"node {self.number} has ended with status {self.child.returncode}: {self.log()}"

    def table(self):
        """Its values, out of its database: key -> (version, value). It may run meanwhile."""
        database = sqlite3.connect(f"file:{self.data}/node.db?mode=ro", uri=True, timeout=10)
        try:
            rows = database.execute("SELECT key, version, value FROM value ORDER BY key")
            return {bytes(key): (version, value) for key, version, value in rows}
        finally:
            database.close()

    def ask(self, method, path, body=None, fields=None, timeout_s=ASK_S):
        """(status, body, fields); OSError or http.client.HTTPException when nobody answers."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=timeout_s)
        try:
            connection.request(method, path, body, fields or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def status(self):
        return json.loads(self.ask("GET", "/status")[1])


def until(condition, message, timeout_s=READY_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def nodes():
    def words(name):
        return os.environ["STRAIT_" + name].split(",")

    return [Node(number, address, int(pid), data) for number, (address, pid, data) in
            enumerate(zip(words("NODES"), words("PIDS"), words("DATA")), 1)]
