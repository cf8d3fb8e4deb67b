/* SPDX-License-Identifier: MIT */
#include "base/core.h"

#include <stdarg.h>
#include <stdio.h>

void core_log(struct core *core, uint32_t category, const char *format, ...)
{
    char message[256];
    va_list arguments;

    if (!core->config.log)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    core->config.log(core->config.log_context, category, message);
}
