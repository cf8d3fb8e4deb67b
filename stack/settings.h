/* SPDX-License-Identifier: MIT */
/* The settings as strait_new sees them; what they are for its callers stands in strait.h. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>

#include "strait.h"

/* Whether all fields that are settings are in their ranges. */
bool settings_are_valid(const struct strait_config *);

#endif
