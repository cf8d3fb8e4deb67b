/* SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_LOOK_H
#define TESTS_UNIT_LOOK_H

/* The first column that a second connection is told, as somebody who looks with the `sqlite3`
 * program; until the next look. */
const char *look(const char *path, const char *sql);

#endif
