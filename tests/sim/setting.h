/* SPDX-License-Identifier: MIT */
/*
 * Settings that are changed while a world runs: which one, and to what, is a plain number, so that
 * a scenario can name it. The values are the extremes that the setting has.
 */
#ifndef TESTS_SIM_SETTING_H
#define TESTS_SIM_SETTING_H

#include <stdint.h>

#include "strait.h"

/* How many choices there are, from 0 on. */
uint32_t setting_choices(void);

/* Makes a setting of the host what the choice says; one that is none changes nothing. */
void setting_change(struct strait *, uint32_t choice);

/* Writes what the setting of the choice is now, STRAIT_SETTING_BYTES at most; takes it back. */
void setting_save(const struct strait *, uint32_t choice, char *value);
void setting_restore(struct strait *, uint32_t choice, const char *value);

#endif
