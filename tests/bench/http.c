/* SPDX-License-Identifier: MIT */
/* HTTP requests on persistent connections, counted by wrk. */
#include <errno.h>
#include <stdio.h>

#include "cell.h"

static void http_keepalive(const struct cell *cell)
{
    char line[256];
    double rate = 0;
    snprintf(line, sizeof(line), "wrk -t1 -c%u -d%.0fs http://%s:%d/", cell->connections,
             cell->seconds < 1 ? 1.0 : cell->seconds, cell->subject->address, PORT_HTTP);
    FILE *wrk = popen(line, "re");
    while (wrk && fgets(line, sizeof(line), wrk))
        sscanf(line, "Requests/sec: %lf", &rate);
    if (!wrk || pclose(wrk) != 0 || rate <= 0) {
        errno = EPROTO;
        fail("wrk");
    }
    figure("", "1/s", rate);
}

const struct work http_works[] = {{"http_keepalive", http_keepalive, false}, {0}};
