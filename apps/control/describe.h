/* SPDX-License-Identifier: MIT */
/* Endpoints as JSON. */
#ifndef APPS_CONTROL_DESCRIBE_H
#define APPS_CONTROL_DESCRIBE_H

#include <jansson.h>

#include "strait.h"

/* An object whose members have the units in their names. NULL when memory is short. */
json_t *describe_endpoint(const struct strait_endpoint *);

#endif
