/* SPDX-License-Identifier: MIT */
/* An assertion that stays on in release builds: a failed one is a bug of Strait, never of a peer.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Prints the condition and its place to stderr and aborts. */
_Noreturn void check_failed(const char *condition, const char *file, int line);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(#condition, __FILE__, __LINE__);                                          \
    } while (0)

#endif
