/* SPDX-License-Identifier: MIT */
#include "http/date.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DAY_S  INT64_C(86400)
#define LAST_S INT64_C(253402300799) /* of the year 9999 */

#define DAYS_IN_400_YEARS 146097
#define DAYS_IN_100_YEARS 36524
#define DAYS_IN_4_YEARS   1461
#define DAYS_IN_A_YEAR    365

static const char weekdays[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Days of a year that begins with March, so that the leap day is its last, before each month. */
static const int days_before[12] = {0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337};

/* From 1 March of the year 0 to 1 January 1970. */
#define DAYS_TO_1970 719468

struct date {
    int year, month, day; /* month from 0 */
    int weekday;          /* from 0, Sunday */
    int hour, minute, second;
};

static int64_t days_of(int year, int month, int day)
{
    int64_t y = month < 2 ? year - 1 : year; /* the one that began with March */
    return y * DAYS_IN_A_YEAR + y / 4 - y / 100 + y / 400 + days_before[(month + 10) % 12] + day -
           1 - DAYS_TO_1970;
}

static struct date date_of(int64_t seconds)
{
    seconds = seconds < 0 ? 0 : seconds > LAST_S ? LAST_S : seconds;
    int64_t days = seconds / DAY_S, second = seconds % DAY_S;
    int rest = (int)(days + DAYS_TO_1970); /* since 1 March of the year 0 */
    int year = rest / DAYS_IN_400_YEARS * 400;
    rest %= DAYS_IN_400_YEARS;
    /* The last of four centuries has one day more than the others, as the last of four years. */
    int centuries = rest / DAYS_IN_100_YEARS < 4 ? rest / DAYS_IN_100_YEARS : 3;
    rest -= centuries * DAYS_IN_100_YEARS;
    int fours = rest / DAYS_IN_4_YEARS;
    rest %= DAYS_IN_4_YEARS;
    int years = rest / DAYS_IN_A_YEAR < 4 ? rest / DAYS_IN_A_YEAR : 3;
    rest -= years * DAYS_IN_A_YEAR;
    year += centuries * 100 + fours * 4 + years;
    int month = 11;
    while (days_before[month] > rest)
        month--;
    return (struct date){
        .year = month < 10 ? year : year + 1,
        .month = (month + 2) % 12,
        .day = rest - days_before[month] + 1,
        .weekday = (int)((days + 4) % 7), /* 1 January 1970 was a Thursday */
        .hour = (int)(second / 3600),
        .minute = (int)(second / 60 % 60),
        .second = (int)(second % 60),
    };
}

void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES])
{
    struct date d = date_of(seconds);
    snprintf(text, HTTP_DATE_BYTES, "%s, %02d %s %04d %02d:%02d:%02d GMT", weekdays[d.weekday],
             d.day, months[d.month], d.year, d.hour, d.minute, d.second);
}

void http_date_format_log(int64_t seconds, char text[HTTP_DATE_BYTES])
{
    struct date d = date_of(seconds);
    snprintf(text, HTTP_DATE_BYTES, "%02d/%s/%04d:%02d:%02d:%02d +0000", d.day, months[d.month],
             d.year, d.hour, d.minute, d.second);
}

/* ---- Parsing: text against a pattern ---- */

/* Reads a number of exactly `digits` digits; a space may stand for a leading zero. */
static bool number(const char *text, int digits, bool space, int *value)
{
    *value = 0;
    for (int i = 0; i < digits; i++) {
        if (i == 0 && space && text[i] == ' ')
            continue;
        if (!isdigit((unsigned char)text[i]))
            return false;
        *value = 10 * *value + (text[i] - '0');
    }
    return true;
}

static bool month_of(const char *text, int *month)
{
    for (*month = 0; *month < 12; (*month)++)
        if (memcmp(text, months[*month], 3) == 0)
            return true;
    return false;
}

/* Where a letter of a pattern puts its number; NULL if it is no such letter. */
static int *number_of(struct date *d, char letter)
{
    switch (letter) {
    case 'd':
    case '_':
        return &d->day;
    case 'y':
        return &d->year;
    case 'h':
        return &d->hour;
    case 'i':
        return &d->minute;
    case 's':
        return &d->second;
    default:
        return NULL;
    }
}

/*
 * Reads `text` by a pattern: d (or _, if a space may come first) day, m month, y year, h i s the
 * time, each as often as it has characters; all else stands for itself.
 */
static bool scan(const char *text, size_t length, const char *pattern, struct date *d)
{
    bool good = length == strlen(pattern);
    for (size_t i = 0; good && i < length;) {
        char letter = pattern[i];
        int *value = number_of(d, letter), width = 1;
        if (value || letter == 'm')
            while (pattern[i + (size_t)width] == letter)
                width++;
        if (letter == 'm')
            good = month_of(text + i, &d->month);
        else if (value)
            good = number(text + i, width, letter == '_', value);
        else
            good = text[i] == letter;
        i += (size_t)width;
    }
    return good;
}

/* Skips the name of the day, which says nothing that the date does not. */
static size_t weekday_bytes(const char *text, size_t length)
{
    size_t n = 0;
    while (n < length && isalpha((unsigned char)text[n]))
        n++;
    return n;
}

/* RFC 9110 5.6.7: two digits that seem to lie more than 50 years ahead mean the past century. */
static int full_year(int digits, int64_t now)
{
    int this_year = date_of(now).year;
    int year = this_year - this_year % 100 + digits;
    return year > this_year + 50 ? year - 100 : year;
}

bool http_date_parse(const char *text, size_t length, int64_t now, int64_t *seconds)
{
    struct date d = {0};
    size_t skip = weekday_bytes(text, length);
    if (skip < 3)
        return false;
    text += skip;
    length -= skip;
    if (scan(text, length, ", dd-mmm-yy hh:ii:ss GMT", &d))
        d.year = full_year(d.year, now);
    else if (!scan(text, length, ", dd mmm yyyy hh:ii:ss GMT", &d) &&
             !scan(text, length, " mmm __ hh:ii:ss yyyy", &d))
        return false;
    if (d.day < 1 || d.day > 31 || d.hour > 23 || d.minute > 59 || d.second > 60 || d.year < 1)
        return false;
    *seconds = days_of(d.year, d.month, d.day) * DAY_S + d.hour * 3600 + d.minute * 60 + d.second;
    return true;
}
