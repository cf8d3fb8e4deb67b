/* SPDX-License-Identifier: MIT */
#include "link/savefile.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKET_BYTES_MAX 65535
#define NS_PER_S         UINT64_C(1000000000)

struct savefile {
    pcap_t *format; /* not a source of packets: only says what the file is like */
    pcap_dumper_t *dumper;
    struct bpf_program filter;
    bool filtered;
    bool written; /* since the last flush */
};

/* Prepares the filter and opens the file. Returns 0, or -1 with errno and `error`. */
static int open_file(struct savefile *s, const char *file, const char *filter, char *error,
                     size_t error_bytes)
{
    /* The filter first: a wrong one must not cost an older file of that name. */
    if (filter) {
        if (pcap_compile(s->format, &s->filter, filter, 1, PCAP_NETMASK_UNKNOWN)) {
            snprintf(error, error_bytes,
                     "the filter '%s': %s; pcap-filter(7) describes the language", filter,
                     pcap_geterr(s->format));
            errno = EINVAL;
            return -1;
        }
        s->filtered = true;
    }
    s->dumper = pcap_dump_open(s->format, file);
    if (!s->dumper) {
        snprintf(error, error_bytes, "cannot write the capture: %s; name another file",
                 pcap_geterr(s->format));
        return -1;
    }
    /* The savefile's own header: a reader finds a valid file before the first packet. */
    if (pcap_dump_flush(s->dumper)) {
        snprintf(error, error_bytes, "cannot write the capture: %s: %s", file, strerror(errno));
        return -1;
    }
    return 0;
}

struct savefile *savefile_open(const char *file, const char *filter, char *error,
                               size_t error_bytes)
{
    struct savefile *s = calloc(1, sizeof(*s));
    if (s)
        s->format = pcap_open_dead_with_tstamp_precision(DLT_RAW, PACKET_BYTES_MAX,
                                                         PCAP_TSTAMP_PRECISION_NANO);
    if (!s || !s->format) {
        free(s);
        snprintf(error, error_bytes, "no memory for a capture");
        errno = ENOMEM;
        return NULL;
    }
    if (open_file(s, file, filter, error, error_bytes)) {
        int saved = errno;
        savefile_close(s);
        errno = saved;
        return NULL;
    }
    return s;
}

void savefile_write(struct savefile *s, const void *packet, size_t captured, size_t length,
                    uint64_t time_ns)
{
    struct pcap_pkthdr head = {
        /* With nanosecond precision, tv_usec holds nanoseconds. */
        .ts = {.tv_sec = (time_t)(time_ns / NS_PER_S), .tv_usec = (long)(time_ns % NS_PER_S)},
        .caplen = (bpf_u_int32)captured,
        .len = (bpf_u_int32)length,
    };
    if (s->filtered && !pcap_offline_filter(&s->filter, &head, packet))
        return;
    pcap_dump((u_char *)s->dumper, &head, packet);
    s->written = true;
}

int savefile_flush(struct savefile *s, char *error, size_t error_bytes)
{
    if (!s->written)
        return 0;
    s->written = false;
    errno = 0;
    if (pcap_dump_flush(s->dumper) == 0 && !ferror(pcap_dump_file(s->dumper)))
        return 0;
    snprintf(error, error_bytes, "the capture ends here: %s",
             errno ? strerror(errno) : "its file cannot be written");
    return -1;
}

void savefile_close(struct savefile *s)
{
    if (!s)
        return;
    if (s->dumper)
        pcap_dump_close(s->dumper);
    if (s->filtered)
        pcap_freecode(&s->filter);
    pcap_close(s->format);
    free(s);
}
