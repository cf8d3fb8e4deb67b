/* SPDX-License-Identifier: MIT */
#include "set/command.h"

#include <stdio.h>
#include <string.h>

#include "control/ask.h"
#include "control/control.h"
#include "options.h"

#define ERROR_BYTES  512
#define OPERANDS_MAX 64

static const struct command command = {
    .name = "set",
    .help = "Usage: strait set [NAME | NAME=VALUE]...\n"
            "\n"
            "Prints settings of a running strait, all of them if none is named, and changes those\n"
            "with a value, in this order. strait settings tells what they mean and take.\n",
    .asks = true,
    .letters = "",
    .operands_max = OPERANDS_MAX,
};

static void print_settings(void *context, json_t *settings)
{
    const char *name;
    json_t *value;
    (void)context;
    json_object_foreach(settings, name, value)
        printf("%s=%s\n", name, json_string_value(value) ? json_string_value(value) : "?");
}

/* "get", "get NAME" or "set NAME VALUE". Returns 0, or -1 after a line. */
static int ask(const struct options *options, const char *operand)
{
    char request[CONTROL_REQUEST_MAX], error[ERROR_BYTES];
    const char *equals = operand ? strchr(operand, '=') : NULL;
    int length;
    if (!operand)
        length = snprintf(request, sizeof(request), "get");
    else if (!equals)
        length = snprintf(request, sizeof(request), "get %s", operand);
    else
        length = snprintf(request, sizeof(request), "set %.*s %s", (int)(equals - operand), operand,
                          equals + 1);
    if ((size_t)length >= sizeof(request) || strchr(request, '\n')) {
        fprintf(stderr, "strait: %.40s...: no setting looks like that; see strait settings\n",
                operand);
        return -1;
    }
    int result = control_ask(options, request, print_settings, NULL, error, sizeof(error));
    if (result < 0)
        fprintf(stderr, "strait: %s\n", error);
    return result;
}

int set_main(int argc, char *argv[])
{
    struct options options;
    int status;
    if (!options_begin(&command, argc, argv, &options, NULL, &status))
        return status;
    int result = options.operand_count == 0 ? ask(&options, NULL) : 0;
    for (int i = 0; i < options.operand_count && result == 0; i++)
        result = ask(&options, options.operands[i]);
    return result == 0 ? 0 : 1;
}
