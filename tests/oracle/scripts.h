/* SPDX-License-Identifier: MIT */
/* All scripts. A file of scripts is a chapter: an array, in the order in which they are played. */
#ifndef TESTS_ORACLE_SCRIPTS_H
#define TESTS_ORACLE_SCRIPTS_H

#include "trial.h"

struct chapter {
    const struct script *scripts;
    size_t count;
};

extern const struct chapter chapter_open, chapter_states, chapter_receive, chapter_send,
    chapter_close;

/* A script that begins where there is nothing yet; one that begins in a state; and one that plays,
 * under names of its own, in more than one state. */
#define SCRIPT(function)                                                                           \
    {                                                                                              \
#function, NULL, function                                                                  \
    }
#define SCRIPT_FROM(state, function)                                                               \
    {                                                                                              \
#function, state, function                                                                 \
    }
#define SCRIPT_IN(state, function)                                                                 \
    {                                                                                              \
#function "_in_" #state, state, function                                                   \
    }
#define CHAPTER(list)                                                                              \
    {                                                                                              \
        list, sizeof(list) / sizeof(list)[0]                                                       \
    }

#endif
