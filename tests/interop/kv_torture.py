#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
kv_torture.py [--seconds S] [--seed N] [--disk]

Run by scripts/cluster: writes by several clients, while every second nodes are killed or stopped,
or (--disk) their disks fail in their hands. At the end everything is healed, and then

    - each request has ended, and what it did has happened once: a client asks again, with the same
      identity, until it knows;
    - the bank has the total that it had, which it had at each look, too, and each account what the
      transfers that have committed make of it;
    - each client's own key has the last value that was acknowledged, and as many versions as there
      were writes; a read after a write has shown what was written;
    - no node has a lock or a transaction in doubt left, and all have the same table of values.

What befalls which nodes, and what is asked of whom, is drawn from the seed, which is printed first;
the machine's own timing is not.
"""

import argparse
import collections
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import kv_cluster

ACCOUNTS = [f"account-{i}" for i in range(8)]
OPENING = 1000
HEALING_S = 90  # for what is left, once everything runs again
RETRY_S = 0.05

UNKNOWN = -1  # nobody has answered


class Client(threading.Thread):
    """One that asks for one thing at a time, of a node drawn at random."""

    def __init__(self, torture, name, seed):
        super().__init__(name=name)
        self.torture = torture
        self.random = random.Random(f"{seed} {name}")
        self.identity = self.random.randrange(1, 1 << 63)
        self.sequence = 0
        self.counts = collections.Counter()
        self.failure = None

    def run(self):
        try:
            self.prepare()
            while not self.torture.over.is_set():
                self.work()
        except Exception as error:  # told by the main thread
            self.failure = error
            self.torture.over.set()

    def prepare(self):
        pass

    def ask_once(self, method, path, body=None, fields=None):
        """(status, body, fields), or (UNKNOWN, ...) when nobody answers."""
        node = self.random.choice(self.torture.nodes)
        try:
            return node.ask(method, path, body, fields)
        except (OSError, http.client.HTTPException):
            return UNKNOWN, b"", None

    def ask(self, method, path, body, final):
        """Asks, with one identity, until the answer is one of `final`."""
        self.sequence += 1
        fields = {"Strait-Client": str(self.identity), "Strait-Sequence": str(self.sequence),
                  "Strait-Lowest": str(self.sequence)}
        while True:
            status, answer, _ = self.ask_once(method, path, body, fields)
            document = json.loads(answer) if status != UNKNOWN and answer else {}
            if status == 200 or (status, document.get("reason")) in final:
                return status, document
            assert status in (UNKNOWN, 503, 409), f"{self.name}: {status} {answer}"
            self.counts[f"repeated: {document.get('reason', 'no answer')}"] += 1
            assert time.monotonic() < self.torture.deadline, \
                f"{self.name}: no outcome after healing: {status} {answer}"
            time.sleep(RETRY_S * self.random.uniform(0.5, 1.5))

    def txn(self, document):
        """A transaction is known not to have happened by its condition alone: versions grow, so an
        earlier attempt that meets it later fails, too; one that holds its locks is "locked"."""
        return self.ask("POST", "/txn", json.dumps(document), [(409, "condition")])


class Teller(Client):
    """Moves money between two accounts, if they are as they were when they were read."""

    def prepare(self):
        self.moved = collections.Counter()

    def work(self):
        one, other = self.random.sample(ACCOUNTS, 2)
        status, document = self.txn({"get": [one, other]})
        if "already" in document or status != 200:
            return  # an earlier attempt has read, and its answer is lost
        read = document["get"]
        amount = self.random.randrange(1, 100)
        status, document = self.txn({
            "put": {one: str(int(read[one]["value"]) - amount),
                    other: str(int(read[other]["value"]) + amount)},
            "if": {name: {"version": read[name]["version"]} for name in (one, other)}})
        if status == 200:
            self.moved[one] -= amount
            self.moved[other] += amount
        self.counts["transfers" if status == 200 else "transfers that came second"] += 1


class Auditor(Client):
    """Adds up the accounts, read in one transaction."""

    def work(self):
        status, answer, _ = self.ask_once("POST", "/txn", json.dumps({"get": ACCOUNTS}))
        if status == 200:
            total = sum(int(item["value"]) for item in json.loads(answer)["get"].values())
            assert total == OPENING * len(ACCOUNTS), f"the bank has {total}: {answer}"
            self.counts["looks at the bank"] += 1
        time.sleep(RETRY_S)


class Writer(Client):
    """Writes a key of its own, which it alone writes, and reads it."""

    def prepare(self):
        self.value = None

    def work(self):
        value = f"{self.sequence + 1} " + "x" * self.random.choice([0, 90, 5000])
        self.ask("PUT", f"/kv/{self.name}", value, [])
        self.value = value.encode()
        self.counts["writes"] += 1
        status, answer, _ = self.ask_once("GET", f"/kv/{self.name}")
        if status in (200, 404):
            assert status == 200 and answer == self.value, \
                f"{self.name}: wrote {value!r}, and read {status} {answer!r}"
            self.counts["reads"] += 1


# ---- Faults ----

class Fault:
    """Kinds of harm; each begins at several nodes at once, and is healed after a while."""

    def __init__(self, node, draw, counts):
        self.node, self.counts = node, counts
        counts[type(self).__name__.lower()] += 1

    def heal(self):
        pass


class Kill(Fault):
    def __init__(self, node, draw, counts):
        super().__init__(node, draw, counts)
        node.send(signal.SIGKILL)

    def heal(self):
        self.node.await_end()
        self.node.start()


class Pause(Fault):
    def __init__(self, node, draw, counts):
        super().__init__(node, draw, counts)
        node.send(signal.SIGSTOP)

    def heal(self):
        self.node.send(signal.SIGCONT)


class Disk(Fault):
    """A system call of the node's fails; so it has to stop, and to say why."""

    def __init__(self, node, draw, counts):
        super().__init__(node, draw, counts)
        call, error, when = (draw.choice(["fdatasync", "pwrite64"]), draw.choice(["EIO", "ENOSPC"]),
                             draw.randrange(1, 6))
        self.trace = node.data + ".strace"
        self.strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", self.trace, "-e", f"trace={call}", "-e",
             f"inject={call}:error={error}:when={when}+", "-p", str(node.pid)],
            stderr=subprocess.DEVNULL)

    def heal(self):
        time.sleep(0.5)  # the calls are slow while they are watched
        self.strace.terminate()
        self.strace.wait()
        if not os.path.exists(self.trace):
            return
        with open(self.trace) as trace:
            if "INJECTED" not in trace.read():
                return
        self.counts["disk, and the node has stopped"] += 1
        self.node.await_end()
        assert "the node stops: the journal has failed" in self.node.log(), self.node.log()
        self.node.start()


class Torture:
    def __init__(self, seed, seconds, disk):
        self.random = random.Random(seed)
        self.nodes = kv_cluster.nodes()
        self.kinds = [Kill, Pause] + ([Disk] if disk else [])
        self.seconds = seconds
        self.over = threading.Event()
        self.deadline = time.monotonic() + seconds + HEALING_S
        self.counts = collections.Counter()
        self.clients = ([Teller(self, f"teller-{i}", seed) for i in range(3)] +
                        [Writer(self, f"writer-{i}", seed) for i in range(3)] +
                        [Auditor(self, "auditor", seed)])

    def open_bank(self):
        status, answer, _ = self.nodes[0].ask(
            "POST", "/txn", json.dumps({"put": {name: str(OPENING) for name in ACCOUNTS}}))
        assert status == 200, answer

    def strike(self):
        """Harms one node, or several, and heals them before the second is over."""
        victims = self.random.sample(self.nodes, self.random.choice([1, 1, 1, 2, 3]))
        faults = [self.random.choice(self.kinds)(node, self.random, self.counts)
                  for node in victims]
        time.sleep(self.random.uniform(0.05, 0.7))
        for fault in faults:
            fault.heal()
        for node in victims:
            node.await_ready()

    def run(self):
        self.open_bank()
        for client in self.clients:
            client.start()
        end = time.monotonic() + self.seconds
        try:
            while time.monotonic() < end and not self.over.is_set():
                second = time.monotonic() + 1
                self.strike()
                self.over.wait(max(0, second - time.monotonic()))
        finally:
            self.over.set()
            self.deadline = time.monotonic() + HEALING_S
            for client in self.clients:
                client.join()
        for client in self.clients:
            self.counts.update(client.counts)
        failures = [client.failure for client in self.clients if client.failure]
        if failures:
            raise failures[0]

    # ---- Afterwards ----

    def is_settled(self):
        return all(status[what] == 0 for status in map(kv_cluster.Node.status, self.nodes)
                   for what in ("coordinating", "in_doubt", "locks"))

    def expected(self):
        """What the acknowledgements add up to: key -> value, and of some the version."""
        values, versions = {}, {}
        for name in ACCOUNTS:
            moved = sum(client.moved[name] for client in self.clients
                        if isinstance(client, Teller))
            values[name] = str(OPENING + moved).encode()
        for client in self.clients:
            if isinstance(client, Writer) and client.value:
                values[client.name], versions[client.name] = client.value, client.sequence
        return values, versions

    def check(self):
        kv_cluster.until(self.is_settled, "locks or transactions are left after healing", HEALING_S)
        values, versions = self.expected()
        tables = [node.table() for node in self.nodes]
        for node, table in zip(self.nodes, tables):
            assert table == tables[0], f"nodes 1 and {node.number} differ: {tables[0]} {table}"
        found = {key.decode(): (version, bytes(value)) for key, (version, value)
                 in tables[0].items()}
        assert {name: value for name, (_, value) in found.items()} == values, (found, values)
        for name, version in versions.items():
            assert found[name][0] == version, f"{name}: {version} writes, and {found[name][0]} done"
        for node in self.nodes:
            node.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--disk", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)
    torture = Torture(options.seed, options.seconds, options.disk)
    try:
        torture.run()
        torture.check()
    finally:
        for name, count in sorted(torture.counts.items()):
            print(f"{count:8} {name}")
    print("nothing acknowledged is lost, nothing happened twice, all replicas are equal")


if __name__ == "__main__":
    sys.exit(main())
