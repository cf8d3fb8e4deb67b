/* SPDX-License-Identifier: MIT */
/* Endpoints, as describe.h makes them, as text for a user: much as `ss -ti` writes them. */
#ifndef APPS_STAT_REPORT_H
#define APPS_STAT_REPORT_H

#include <jansson.h>
#include <stdio.h>

void report_heading(FILE *);

/* A line, and of a connection a second one with its details. */
void report_endpoint(FILE *, const json_t *endpoint);

#endif
