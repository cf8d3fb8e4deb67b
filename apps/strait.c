/* SPDX-License-Identifier: MIT */
/* The command line: `strait COMMAND ...`. Exit status 2 says that the command line is wrong. */
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "serve.h"
#include "strait.h"

#define EXIT_USAGE  2
#define ERROR_BYTES 512

static const char help[] =
    "Usage: strait COMMAND [OPTION...]\n"
    "\n"
    "  strait serve       is a host on a TUN device; see strait serve --help\n"
    "  strait --version   prints the version\n"
    "  strait --help      this text\n";

static int command_serve(int argc, char *argv[])
{
    struct options options;
    char error[ERROR_BYTES];
    if (options_parse(argc, argv, &options, error, sizeof(error)) < 0) {
        fprintf(stderr, "strait: %s\n", error);
        return EXIT_USAGE;
    }
    if (options.help) {
        fputs(options_help, stdout);
        return 0;
    }
    return serve(&options);
}

int main(int argc, char *argv[])
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "serve") == 0)
        return command_serve(argc - 1, argv + 1);
    if (strcmp(command, "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        puts("strait " STRAIT_VERSION);
        return 0;
    }
    if (argc > 1)
        fprintf(stderr, "strait: unknown command \"%s\"; see strait --help\n", command);
    else
        fputs("strait: a command is missing; see strait --help\n", stderr);
    return EXIT_USAGE;
}
