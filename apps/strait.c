/* SPDX-License-Identifier: MIT */
/* The command line: `strait COMMAND ...`. Exit status 2 says that the command line is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "get/command.h"
#include "kv/command.h"
#include "nc/command.h"
#include "options.h"
#include "ping/command.h"
#include "rpc/command.h"
#include "serve.h"
#include "set/command.h"
#include "settings/command.h"
#include "stat/command.h"
#include "strait.h"

static const struct {
    const char *name;
    int (*run)(int argc, char *argv[]);
    const char *purpose;
} commands[] = {
    {"serve", serve_main, "is a host that serves echo, discard, chargen, HTTP and procedures"},
    {"ping", ping_main, "sends ICMP echo requests to a host"},
    {"nc", nc_main, "joins stdin and stdout with a connection, or with datagrams"},
    {"get", get_main, "downloads by HTTP"},
    {"kv", kv_main, "is a node of a replicated key-value store, or asks one"},
    {"rpc", rpc_main, "serves, calls, lists and measures remote procedures"},
    {"stat", stat_main, "shows the connections, or the counters, of a running strait"},
    {"set", set_main, "reads and changes the settings of a running strait"},
    {"settings", settings_main, "lists what --set changes, with defaults and ranges"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(void)
{
    puts("Usage: strait COMMAND [OPTION...]\n"
         "\n"
         "ping, nc, get, serve and rpc are hosts of their own on a TUN device, and rpc may do\n"
         "without; strait COMMAND --help says more.\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].purpose);
    puts("  --version  prints the version\n"
         "  --help     this text");
}

/*
 * Whoever has closed a standard descriptor would find the device or a file under its number, and
 * read or write there. They are opened the wrong way round, so that using one still fails.
 */
static bool fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

/* What a command has printed is part of its work. Returns the exit status. */
static int finish_output(int status)
{
    bool lost = ferror(stdout) != 0; /* at a time whose errno is gone */
    if (fflush(stdout) == 0 && !lost)
        return status;
    fprintf(stderr, "strait: stdout: %s\n", lost ? "it cannot be written" : strerror(errno));
    return status == EXIT_SUCCESS ? EXIT_FAILURE : status;
}

static int run(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0) {
        print_help();
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        puts("strait " STRAIT_VERSION);
        return 0;
    }
    if (argc > 1)
        fprintf(stderr, "strait: unknown command \"%s\"; see strait --help\n", name);
    else
        fputs("strait: a command is missing; see strait --help\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char *argv[])
{
    if (!fill_standard_descriptors())
        return EXIT_FAILURE;
    return finish_output(run(argc, argv));
}
