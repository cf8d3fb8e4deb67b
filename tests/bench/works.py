# SPDX-License-Identifier: MIT
"""The table of works: what is measured, of whom, and under what conditions."""

from dataclasses import dataclass


@dataclass
class Work:
    name: str
    work: str  # as the program knows it
    options: str  # of the program, for all subjects
    subjects: tuple
    quick: bool = False  # a part of the quick run
    runs: int = 5  # of each subject
    seconds: float = 0.3  # that one run measures
    aims: str = ""  # what is wanted of Strait, for the table
    beside: tuple = ()  # other works, which take turns with this one as its baselines
    plain: tuple = ("lwip",)  # subjects that know no offload, whatever the work says
    program: str = "cell"  # which measures it: built from this folder, or a script in it


TUN = ("strait", "raw", "kernel", "shovel")
ALL = ("strait", "raw", "lwip", "kernel", "shovel")
TUN_1500 = ("strait", "raw", "lwip", "shovel")  # loopback has no packets of that size
TUN_JUMBO = ("strait", "raw", "shovel")
SPINNING = ("strait", "raw", "lwip", "kernel")
SITES = ("strait", "kernel")
GRPC = ("strait", "kernel", "grpcio")
ALONE = ("strait",)
STORES = ("strait", "disk", "etcd")
APART = "--cores 1,0 "  # the subject's core, that of the kernel's side
TOGETHER = "--cores 0,0 "
PLAIN = APART + "--plain "
JUMBO = "--mtu 65535 "
SPIN = APART + "--spin "


def connections(number):
    return f"--connections {number} "


def streams(number):
    return f"--streams {number} "


RUNS_OF_EQUALS = 15  # where an aim is the time of a subject that takes as long but for a hundredth


def rr(name, cores, **first):
    """A byte there and back, on 1, 16 and 256 connections."""
    return [
        Work(name, "rr", cores, ALL, **first),
        Work(f"{name}_16", "rr", cores + connections(16), ALL),
        Work(f"{name}_256", "rr", cores + connections(256), ALL),
    ]


def two_queues(name, work, beside):
    """16 streams on two queues, with a core for each, beside the same on one."""
    return Work(name, work, "--queues 2 " + connections(16), ALONE, beside=(beside,))


def kv(name, *subjects, aims=""):
    """The key-value store with 1, 16 and 256 clients."""
    return [
        Work(
            f"kv_{name}_{clients}",
            name,
            f"--clients {clients} ",
            STORES + (subjects if clients > 16 else ()),
            seconds=1,
            aims=aims,
            program="kv",
        )
        for clients in (1, 16, 256)
    ]


WORKS = [
    Work("bulk_out_offload", "bulk_out", APART, TUN, quick=True, aims="raw 0.80"),
    Work("bulk_out_offload_copied", "bulk_out_copied", APART, TUN),
    Work("bulk_in_offload", "bulk_in", APART, TUN, quick=True, aims="raw 0.60"),
    Work("bulk_in_offload_borrowed", "bulk_in_borrowed", APART, TUN, aims="raw 0.80"),
    Work("bulk_out_plain", "bulk_out", PLAIN, TUN_1500, quick=True, aims="raw 0.90, lwip > 1"),
    Work("bulk_in_plain", "bulk_in", PLAIN, TUN_1500, quick=True, aims="raw 0.85, lwip > 1"),
    Work("bulk_out_offload_jumbo", "bulk_out", APART + JUMBO, TUN),
    Work("bulk_in_offload_jumbo", "bulk_in", APART + JUMBO, TUN),
    Work("bulk_out_plain_jumbo", "bulk_out", PLAIN + JUMBO, TUN_JUMBO),
    Work("bulk_in_plain_jumbo", "bulk_in", PLAIN + JUMBO, TUN_JUMBO),
    Work("bulk_both_offload", "bulk_both", APART, TUN),
    Work("bulk_out_offload_16", "bulk_out", APART + connections(16), TUN),
    Work("bulk_in_offload_16", "bulk_in", APART + connections(16), TUN),
    two_queues("bulk_out_offload_16_queues", "bulk_out", "bulk_out_offload_16"),
    two_queues("bulk_in_offload_16_queues", "bulk_in", "bulk_in_offload_16"),
    *rr(
        "rr_one_core",
        TOGETHER,
        quick=True,
        runs=RUNS_OF_EQUALS,
        aims="raw 1.15, lwip < 1; p99: raw 1.3",
    ),
    Work("rr_spin", "rr", SPIN, SPINNING, runs=RUNS_OF_EQUALS, aims="raw 1.15, lwip < 1"),
    *rr("rr_cross_core", APART),
    Work("rr_beside_bulk", "rr_beside_bulk", APART, TUN),
    Work("connect_one_core", "connect", TOGETHER, ALL, quick=True, aims="kernel 1.5, lwip 1.2"),
    Work("connect_cross_core", "connect", APART, ALL),
    Work("http_keepalive", "http_keepalive", APART + connections(16), SITES, seconds=1),
    Work("rpc_classic", "rpc_classic", APART + connections(16), SITES, aims="kernel 0.9"),
    Work("grpc_unary_1", "grpc_unary", APART, GRPC),
    Work("grpc_unary_16", "grpc_unary", APART + streams(16), GRPC),
    Work("grpc_unary_100", "grpc_unary", APART + streams(100), GRPC, aims="kernel 0.9"),
    Work(
        "grpc_unary_4x100",
        "grpc_unary",
        APART + connections(4) + streams(100),
        GRPC,
        aims="kernel 0.9, 100000",
    ),
    Work("packet_cost_1", "packet_cost", connections(1), ALONE),
    Work("packet_cost_16", "packet_cost", connections(16), ALONE, beside=("packet_cost_1",)),
    Work("packet_cost_1000", "packet_cost", connections(1000), ALONE, beside=("packet_cost_1",)),
    Work(
        "packet_cost_100000",
        "packet_cost",
        connections(100000),
        ALONE,
        beside=("packet_cost_1", "packet_cost_16"),
        aims="packet_cost_1 1.3",
    ),
    Work(
        "packet_cost_100000_alone",
        "packet_cost_alone",
        connections(100000),
        ALONE,
        beside=("packet_cost_1",),
    ),
    Work("memory_idle", "memory_idle", connections(100000), ALONE, quick=True, aims="640 bytes"),
    Work("memory_time_wait", "memory_time_wait", connections(100000), ALONE, aims="96 bytes"),
    Work("memory_half_open", "memory_half_open", connections(4096), ALONE, aims="128 bytes"),
    Work("memory_stalled", "memory_stalled", connections(10000), ALONE, aims="within the budget"),
    *kv("write", "etcd_one", aims="disk 0.70, etcd > 1"),
    *kv("read", "etcd_one", aims="etcd > 1"),
]
