/* SPDX-License-Identifier: MIT */
/*
 * Strait: a TCP/IP stack in user space.
 *
 * The core does no I/O: packets and the time go in (strait_input, strait_advance), packets come out
 * through the link's send function, readiness comes out through strait_dispatch, and the next
 * deadline is what strait_advance returns. One `struct strait` is one host (or one shard of one
 * host) and is driven by one thread at a time; nothing in the library is shared between two of
 * them.
 *
 * Times are nanoseconds of a monotonic clock that the caller chooses. Socket calls have the names,
 * constants, structures and errno values of POSIX, with the stack in front.
 */
#ifndef STRAIT_H
#define STRAIT_H

#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STRAIT_VERSION "0.1.0"

#define STRAIT_API __attribute__((visibility("default")))

struct strait;
struct strait_env;
struct strait_link;

/* A deadline that never comes; and one that has passed: what is due now. */
#define STRAIT_NEVER   UINT64_MAX
#define STRAIT_AT_ONCE UINT64_C(0)

/* ---- Links ---- */

/* Who is responsible for the transport checksum of a packet. */
enum strait_checksum {
    STRAIT_CHECKSUM_COMPLETE, /* as on the wire; a receiver verifies it */
    STRAIT_CHECKSUM_VALID,    /* received only: somebody below has verified it */
    STRAIT_CHECKSUM_PARTIAL,  /* holds the sum of the pseudo-header only; see strait_offload */
};

/* What a super-packet will be cut into. */
enum strait_gso {
    STRAIT_GSO_NONE,
    STRAIT_GSO_TCP4, /* TCP over IPv4, segments of gso_size payload bytes */
    STRAIT_GSO_UDP4, /* UDP over IPv4, datagrams of gso_size payload bytes (received only) */
};

/*
 * What travels beside a packet when the link takes over a part of the work: the virtio-net header
 * (virtio 1.2, 5.1.6) without its wire format. All zero means an ordinary packet.
 */
struct strait_offload {
    uint8_t checksum;         /* enum strait_checksum */
    uint8_t gso;              /* enum strait_gso */
    bool ecn;                 /* the super-packet carries CWR on its first segment only */
    uint16_t gso_size;        /* payload bytes of each segment but the last; 0 if gso is NONE */
    uint16_t header_bytes;    /* network and transport headers of the packet */
    uint16_t checksum_start;  /* PARTIAL: where summing starts, bytes from the packet's start */
    uint16_t checksum_offset; /* PARTIAL: where the sum is stored, bytes from checksum_start */
};

/* Abilities of a link, for strait_link.features. */
#define STRAIT_LINK_CHECKSUM 1u /* send takes STRAIT_CHECKSUM_PARTIAL */
#define STRAIT_LINK_TSO4     2u /* send takes STRAIT_GSO_TCP4; implies STRAIT_LINK_CHECKSUM */

/*
 * A link carries whole IP packets. Fill in the fields above the line, attach it to a stack with
 * strait_attach, and hand every packet that arrives to `receive` (or to strait_input). The struct
 * belongs to its maker and must outlive the stack; a link that wraps another
 * (capture, impairment) embeds its own and puts its own `receive` into the one below.
 */
struct strait_link {
    size_t size;       /* sizeof(struct strait_link) */
    const char *name;  /* for messages; not owned */
    uint32_t mtu;      /* largest IP packet, bytes, 68 to 65535 */
    uint32_t features; /* STRAIT_LINK_* */
    int fd;            /* readable when `drain` has work; -1 if the link is driven by hand */

    /*
     * Sends one packet made of `count` parts, which are borrowed for the call only. Returns 0, or
     * -1 with errno, in which case the packet is lost and counted.
     */
    int (*send)(struct strait_link *, const struct iovec *parts, int count,
                const struct strait_offload *);

    /*
     * Reads at most `budget_bytes` of waiting packets and passes each to `receive`. Returns the
     * number of packets, 0 when nothing waited, or -1 with errno when the link is gone; it never
     * waits itself, and may be called when nothing does. NULL if fd is -1.
     */
    int (*drain)(struct strait_link *, uint64_t now_ns, size_t budget_bytes);

    /* Releases the link and all that it holds; NULL if there is nothing to release. */
    void (*close)(struct strait_link *);

    /* ---- set by strait_attach, or by a link that wraps this one ---- */

    /* Takes a packet upward. The packet is borrowed for the call only. */
    void (*receive)(struct strait_link *, const void *packet, size_t length,
                    const struct strait_offload *, uint64_t now_ns);
    void *upper; /* of whoever set `receive` */

    /*
     * Tells of packets that `receive` will be given next, so that what they need is fetched into
     * the caches for all of them at once; or NULL. A hint: it changes nothing, and may be left out.
     * The packets are borrowed for the call only.
     */
    void (*expect)(struct strait_link *, const struct iovec *packets, int count);
};

/* ---- Environment ---- */

/* A one-shot timer of an application or of the stack; embed it, zero it, set `expired`. */
struct strait_timer {
    struct strait_timer *next, *prev; /* private to the timer wheel */
    uint64_t deadline_ns;             /* private: when it is due */
    /* Runs once the deadline has passed; it may start the timer again, or free its memory. */
    void (*expired)(void *owner, struct strait_timer *);
};

/* Work that may block, for strait_env.execute; embed it, zero it, set both functions. */
struct strait_work {
    struct strait_work *next;          /* private to the executor */
    void (*run)(struct strait_work *); /* on another thread: it touches nothing but the work */
    void (*done)(
        struct strait_work *); /* afterwards, on the driving thread; it may free the work */
};

/* What is known of a file, for strait_env.file_status. */
struct strait_file_status {
    uint64_t device, number; /* together they tell it from every other file */
    uint64_t size_bytes;
    int64_t modified_ns; /* when its content changed, as wall_clock tells the time */
    int64_t changed_ns;  /* when anything about it changed */
    bool directory;
    bool regular; /* neither a directory nor a device, a FIFO or a socket */
};

/*
 * Everything an application needs of the world besides sockets: the one thing that differs between
 * a real machine (strait_loop) and a simulated one. Every function takes the environment itself
 * first. All but `post` are called from the driving thread.
 */
struct strait_env {
    size_t size; /* sizeof(struct strait_env) */

    /* The time, in nanoseconds of a monotonic clock. */
    uint64_t (*now)(struct strait_env *);

    /* Fills `length` bytes that cannot be predicted. */
    void (*random)(struct strait_env *, void *bytes, size_t length);

    /*
     * (Re)starts a timer; its `expired` gets the environment as owner. A deadline that is still to
     * come may be kept 66 us late; STRAIT_AT_ONCE is kept in the present turn, or in the next.
     */
    void (*timer_start)(struct strait_env *, struct strait_timer *, uint64_t deadline_ns);
    void (*timer_stop)(struct strait_env *, struct strait_timer *);

    /*
     * Files: the calls of POSIX. `file_open` returns a handle of the environment, or -1 with errno;
     * flags are O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY (a directory: only for the
     * calls below, and to be closed). Reads and writes are at an offset in bytes.
     */
    int (*file_open)(struct strait_env *, const char *path, int flags);
    int (*file_close)(struct strait_env *, int file);
    ssize_t (*file_read)(struct strait_env *, int file, void *bytes, size_t length,
                         uint64_t offset);
    ssize_t (*file_write)(struct strait_env *, int file, const void *bytes, size_t length,
                          uint64_t offset);
    int64_t (*file_size)(struct strait_env *, int file);
    int (*file_sync)(struct strait_env *, int file);

    /* Runs the work elsewhere. Returns 0, or -1 with EAGAIN when too much work waits already. */
    int (*execute)(struct strait_env *, struct strait_work *);

    /* Runs function(argument) soon on the driving thread. The one call that any thread may make. */
    void (*post)(struct strait_env *, void (*function)(void *), void *argument);

    /*
     * Watches a descriptor of the host: `ready` is called while one of `events` (POLLIN, POLLOUT)
     * holds; events 0 ends it. Returns 0, or -1 with errno (ENOSYS where there are none).
     */
    int (*watch)(struct strait_env *, int fd, short events,
                 void (*ready)(void *argument, int fd, short revents), void *argument);

    /*
     * Lets the world go on until something has happened or the deadline has come: what a blocking
     * socket call does while it waits. Returns 0, or -1 with errno (EINTR). NULL where nothing may
     * block: the call then fails with EAGAIN.
     */
    int (*wait)(struct strait_env *, uint64_t deadline_ns);

    /* The time of day, in nanoseconds since 1970 (UTC). It may jump. */
    int64_t (*wall_clock)(struct strait_env *);

    /*
     * What lies below an open directory; -1 with ENOSYS where there are none. `path` is relative.
     * file_open_below opens for reading, with flags 0 or O_DIRECTORY; a path that leaves the
     * directory, by ".." or by a link, is EXDEV. file_status follows links wherever they lead; an
     * empty path is the file or directory itself. file_list calls entry(context, name, directory)
     * for each name (but "." and ".."), in no order, until it returns false; a link to a directory
     * is not called one.
     */
    int (*file_open_below)(struct strait_env *, int directory, const char *path, int flags);
    int (*file_status)(struct strait_env *, int directory, const char *path,
                       struct strait_file_status *);
    int (*file_list)(struct strait_env *, int directory,
                     bool (*entry)(void *context, const char *name, bool is_directory),
                     void *context);
};

/* Runs function(argument) on the thread that drives `env`; safe from any thread. */
STRAIT_API void strait_post(struct strait_env *env, void (*function)(void *), void *argument);

/* ---- The stack ---- */

/* What the stack tells about itself, for strait_config.log_categories. */
#define STRAIT_LOG_LINK   1u
#define STRAIT_LOG_IP     2u
#define STRAIT_LOG_ICMP   4u
#define STRAIT_LOG_UDP    8u
#define STRAIT_LOG_TCP    16u
#define STRAIT_LOG_SOCKET 32u
#define STRAIT_LOG_ALL    63u

/* Explicit congestion notification, for strait_config.ecn. */
enum strait_ecn {
    STRAIT_ECN_OFF,
    STRAIT_ECN_ANSWER,  /* used if the peer asks for it */
    STRAIT_ECN_REQUEST, /* asked for on connect, too */
};

/* When a SYN is answered by a cookie, for strait_config.syn_cookies. */
enum strait_syn_cookies {
    STRAIT_SYN_COOKIES_OFF,
    STRAIT_SYN_COOKIES_FULL,   /* when no more half-open connections may be kept */
    STRAIT_SYN_COOKIES_ALWAYS, /* no half-open connection is kept */
};

/* Congestion control, for strait_config.congestion. */
enum strait_congestion {
    STRAIT_CONGESTION_RENO, /* RFC 5681, RFC 6582 */
};

/*
 * What a host is like. Defaults and ranges, and what each field means, stand with the settings
 * below, by whose names most fields can also be set, before strait_new and later.
 */
struct strait_config {
    size_t size; /* sizeof(struct strait_config) */

    /*
     * Keys initial sequence numbers, local ports and hash tables. It must be unpredictable, and the
     * same on all shards of one host.
     */
    uint8_t secret[16];

    uint16_t port_first, port_last; /* local ports for connect and for bind to port 0 */
    int descriptor_base;            /* the smallest descriptor number; default 1048576 */

    uint32_t sockets_max;
    uint32_t connections_max; /* connections, orphans included */
    uint32_t half_open_max;   /* connections in SYN-RECEIVED, of all listeners together */
    uint32_t backlog_max;     /* connections of a listener that wait to be accepted */
    uint32_t time_wait_max;
    uint32_t orphans_max;       /* connections that close without a socket; beyond it: RST */
    size_t memory_max_bytes;    /* payload buffers of all sockets together */
    uint8_t out_of_order_share; /* percent of it that may hold what came out of order to TCP */
    uint32_t ranges_max;        /* pieces of one connection, out of order or SACKed */
    uint32_t send_buffer_bytes, receive_buffer_bytes; /* of each TCP socket, as far as they grow */
    uint32_t udp_receive_buffer_bytes;
    uint32_t buffer_min_bytes, buffer_max_bytes; /* between which SO_SNDBUF and SO_RCVBUF keep */

    /*
     * A router: packets for other hosts go on (RFC 1812 5.2), or are answered with an ICMP error. A
     * super-packet goes on through links with STRAIT_LINK_TSO4 only.
     */
    bool forward;
    uint8_t ttl;                /* RFC 1122 3.2.1.7 */
    size_t fragments_max_bytes; /* incomplete IP packets, all together; a source gets a quarter */
    uint32_t fragment_packets_max; /* incomplete packets of one source */
    uint32_t fragment_timeout_ms;  /* RFC 1122 3.3.2 */
    uint32_t path_mtu_timeout_ms;  /* RFC 1191 6.3 */
    uint32_t icmp_errors_burst;    /* ICMP errors made at once, and a second from then on */
    uint32_t icmp_errors_per_second;
    uint32_t icmp_peer_errors_burst; /* the same for one peer */
    uint32_t icmp_peer_errors_per_second;

    /* What TCP offers to its peers and takes from them. */
    bool timestamps;     /* RFC 7323 3 */
    bool window_scaling; /* RFC 7323 2 */
    bool sack;           /* RFC 2018 */
    bool dsack;          /* RFC 2883 */
    uint8_t ecn;         /* enum strait_ecn, RFC 3168 */
    uint8_t syn_cookies; /* enum strait_syn_cookies, RFC 4987 3.6 */

    /* How TCP sends and acknowledges. */
    uint8_t congestion;        /* enum strait_congestion */
    uint32_t initial_window;   /* segments, RFC 6928 */
    uint32_t rto_initial_us;   /* RFC 6298 2.1 */
    uint32_t rto_min_us;       /* RFC 6298 2.4 */
    uint32_t rto_max_us;       /* RFC 6298 2.5 */
    uint32_t delayed_ack_ms;   /* RFC 9293 3.8.6.3 */
    uint32_t challenge_ack_ms; /* between challenge ACKs of one connection, RFC 5961 7 */

    /* When TCP gives up. */
    uint8_t syn_retries, syn_ack_retries; /* RFC 9293 3.8.3 */
    uint8_t data_retries;
    uint16_t keepalive_idle_s, keepalive_interval_s; /* RFC 9293 3.8.4 */
    uint8_t keepalive_probes;
    uint32_t fin_timeout_ms;    /* of a connection without a socket, in FIN-WAIT-2 */
    uint32_t orphan_timeout_ms; /* of one whose peer acknowledges nothing */
    uint32_t time_wait_ms;      /* 2 MSL, RFC 9293 3.4.2 */

    uint32_t log_categories; /* STRAIT_LOG_*: which messages are made */
    void (*log)(void *log_context, uint32_t category, const char *message);
    void *log_context;

    /*
     * One host on several cores is several instances ("shards") with the same addresses, secret and
     * local ports, each on a queue of its own (strait_tun_open_queues) and driven by its own
     * thread. Sockets belong to their instance: listeners are to be opened on each, and share the
     * connections; a port of the local range belongs to one shard alone, and to connect from
     * another one whose answers would come to another shard is EADDRNOTAVAIL. A packet that comes
     * to another instance than it belongs to goes to hand_over, which lets that one's strait_input
     * have a copy, on its thread; it returns whether it can, and may be NULL where there is one
     * shard. Limits hold for each instance.
     */
    uint16_t shard, shards; /* which of how many; 0 of 1 */
    bool (*hand_over)(void *hand_over_context, uint32_t shard, const void *packet, size_t length,
                      const struct strait_offload *);
    void *hand_over_context;
};

#define STRAIT_SHARDS_MAX 32

/* Sets every field to its default; the secret becomes zero and has to be filled in. */
STRAIT_API void strait_config_init(struct strait_config *);

/* When a setting that is changed takes effect. */
enum strait_setting_effect {
    STRAIT_SETTING_AT_START, /* strait_new has settled it */
    STRAIT_SETTING_NEW,      /* for connections, sockets and records that are made from then on */
    STRAIT_SETTING_AT_ONCE,  /* for all, whenever it is asked for next */
};

/* What is known of a setting: constant text. Values are as strait_get writes them. */
struct strait_setting {
    const char *name;    /* "tcp.rto_min" */
    const char *meaning; /* half a sentence, with the RFC that it is of */
    const char *unit;    /* "time", "bytes", "ports", "%", what is counted; or "off|on": words */
    const char *default_value;
    const char *minimum, *maximum; /* NULL if it is one of the words */
    enum strait_setting_effect effect;
};

/* Room for every value that strait_get writes. */
#define STRAIT_SETTING_BYTES 32

/* The setting number `index`, from 0 on; NULL behind the last one. */
STRAIT_API const struct strait_setting *strait_setting(size_t index);

/*
 * Sets a field of a configuration by the name of its setting. The value is a word, or a number with
 * the unit: us, ms, s, min or h for a time (always), KiB, MiB, GiB or TiB for bytes (or none), %
 * for a share; "32768-60999" for ports. Returns 0, or -1 with errno: ENOENT (there is no such
 * setting), EINVAL (the value cannot be read, or is finer than the setting), ERANGE (it is out of
 * range).
 */
STRAIT_API int strait_config_set(struct strait_config *, const char *name, const char *value);

/* The same for a host that runs; EPERM if strait_new has settled it, as it has "ip.local_ports"
 * where there are several shards. */
STRAIT_API int strait_set(struct strait *, const char *name, const char *value);

/*
 * Writes the value of a setting, ended by a zero, into `size` bytes. strait_set takes it. Returns
 * 0, or -1 with errno: ENOENT, or ENOSPC (`size` is too small).
 */
STRAIT_API int strait_get(const struct strait *, const char *name, char *value, size_t size);

/*
 * Makes a host without links, which reaches itself alone: 127.0.0.0/8, and the addresses of the
 * links to come, lead back to it without being seen on a link. The configuration is copied. The
 * environment is used for blocking calls only and may be NULL. Returns NULL with EINVAL (a
 * configuration out of range) or ENOMEM.
 */
STRAIT_API struct strait *strait_new(const struct strait_config *, struct strait_env *env);

/*
 * Ends all sockets and connections at once, without a word on the wire, and frees the host. Who is
 * told now that what he has sent by reference is released finds no socket any more: EBADF.
 */
STRAIT_API void strait_free(struct strait *);

/*
 * Attaches a link with the host's address on it, and adds a route to the address's network. The
 * first link also becomes the default route. `prefix_bits` is 0 to 32. Returns 0, or -1 with EINVAL
 * (MTU or address unusable) or ENOSPC (too many links).
 */
STRAIT_API int strait_attach(struct strait *, struct strait_link *, struct in_addr address,
                             int prefix_bits);

/* Adds a route for a network through an attached link. Returns 0, or -1 with EINVAL or ENOSPC. */
STRAIT_API int strait_route(struct strait *, struct in_addr network, int prefix_bits,
                            struct strait_link *);

/*
 * One packet has arrived. It is borrowed for the call only; `offload` may be NULL. No callback runs
 * and no answer but a stateless one is sent before strait_advance: so a batch of packets is given
 * first, and then acknowledged once.
 */
STRAIT_API void strait_input(struct strait *, struct strait_link *, const void *packet,
                             size_t length, const struct strait_offload *offload, uint64_t now_ns);

/*
 * Takes in what the host has sent to itself, runs the timers that are due and sends what is to be
 * sent. Returns the time of the next deadline, STRAIT_NEVER if there is none, or `now_ns` itself
 * while strait_dispatch has callbacks to run, if something that the host has sent to itself has
 * been taken in or waits to be, or if more connections than one call serves have waited for memory
 * that is there now. To be called after strait_input, after socket calls and when the deadline
 * comes; and once before the first socket call, so that the stack knows the time.
 */
STRAIT_API uint64_t strait_advance(struct strait *, uint64_t now_ns);

/*
 * Runs the callbacks of strait_watch whose descriptors are ready, once each. Returns how many ran.
 * A driver's turn is: strait_input for each packet, strait_dispatch, strait_advance.
 */
STRAIT_API int strait_dispatch(struct strait *);

/* Calls visit(context, name, value) for each counter; a name is like "tcp_checksum_wrong". */
STRAIT_API void strait_counters(const struct strait *,
                                void (*visit)(void *context, const char *name, uint64_t value),
                                void *context);

/*
 * The number of TCP connections that have not come to their end, those included whose sockets are
 * closed but whose peers have not acknowledged everything; half-open ones and TIME-WAIT excluded.
 * A program that ends in order waits for it to become 0.
 */
STRAIT_API uint32_t strait_connections(const struct strait *);

/*
 * Bytes of payload memory in use now: blocks of buffers with what waits to be sent, acknowledged or
 * read, counted against strait_config.memory_max_bytes. 0 when nothing waits.
 */
STRAIT_API size_t strait_memory(const struct strait *);

/* ---- Endpoints ---- */

enum strait_endpoint_kind {
    STRAIT_ENDPOINT_CONNECTION, /* of TCP, as long as segments reach it */
    STRAIT_ENDPOINT_HALF_OPEN,  /* a SYN that was answered */
    STRAIT_ENDPOINT_TIME_WAIT,
    STRAIT_ENDPOINT_LISTENER,
    STRAIT_ENDPOINT_UDP, /* with a local port */
    STRAIT_ENDPOINT_PING,
};

struct tcp_info;

/* One end of a conversation, as strait_inspect shows it. What it does not have is 0. */
struct strait_endpoint {
    size_t size;   /* sizeof(struct strait_endpoint) */
    uint8_t kind;  /* enum strait_endpoint_kind */
    uint8_t state; /* of TCP: Linux's number, TCP_ESTABLISHED in <netinet/tcp.h> and so on */
    bool orphan;   /* a connection whose socket is closed */
    struct sockaddr_in local, remote;
    uint32_t receive_queue; /* bytes that wait to be read; a listener's connections, to be taken */
    uint32_t send_queue;    /* bytes not acknowledged; how many connections may wait */
    uint32_t receive_limit_bytes, send_limit_bytes;   /* of the buffers */
    uint32_t receive_memory_bytes, send_memory_bytes; /* that they take now */

    /* Of a connection. */
    uint32_t cwnd, ssthresh;              /* bytes; ssthresh is UINT32_MAX before a loss */
    uint32_t send_window, receive_window; /* bytes that the one side still lets the other send */
    const char *congestion;               /* "reno" */
    const char *timer;                    /* what it runs for, "retransmit"; NULL: it does not */
    uint64_t timer_ns;                    /* until it expires */
    const struct tcp_info *info;          /* the whole struct of <linux/tcp.h> */
};

/*
 * Calls visit(context, endpoint) for some endpoints: for `max` or a few more, or for fewer. *cursor
 * is 0 at first and moves on. Returns true as long as there may be more: so a program looks at any
 * number of endpoints in small steps. Whatever comes and goes between the steps, an endpoint that
 * is there all the time is visited once. What is visited is borrowed for the call, in which no
 * other call of this stack may be made.
 */
STRAIT_API bool strait_inspect(struct strait *, uint64_t *cursor, unsigned max,
                               void (*visit)(void *context, const struct strait_endpoint *),
                               void *context);

/* ---- Traces ---- */

/* What a record of a trace is about. Positions are those of the streams: 0 is the first byte. */
enum strait_trace_event {
    STRAIT_TRACE_SENT,     /* `length` bytes from `position` on, for the first time */
    STRAIT_TRACE_RESENT,   /* the same, but some of it had been sent before */
    STRAIT_TRACE_ACKED,    /* the peer has acknowledged all below `position` */
    STRAIT_TRACE_RECEIVED, /* `length` bytes from `position` on have come that were missing */
    STRAIT_TRACE_CHANGED,  /* nothing of that, but one of the values */
};

/* What a connection tells while it is traced. It has no padding: its bytes can be compared. */
struct strait_trace {
    size_t size;      /* sizeof(struct strait_trace) */
    uint64_t time_ns; /* of the stack */
    struct sockaddr_in local, remote;
    uint64_t position;
    uint32_t length; /* bytes; a FIN counts as one */
    uint32_t event;  /* enum strait_trace_event */
    uint32_t state;  /* Linux's number of it, TCP_ESTABLISHED in <netinet/tcp.h> and so on */

    /* The values, as they are now. */
    uint32_t cwnd, ssthresh;     /* bytes; 0 while it opens; ssthresh is UINT32_MAX before a loss */
    uint32_t srtt_us, rttvar_us; /* 0: not measured yet */
    uint32_t rto_us;             /* as it is backed off */
    uint32_t send_window, receive_window; /* bytes that the one side still lets the other send */
};

/*
 * Lets `told` know what happens to each TCP connection: each change of a value, each segment with
 * text, each acknowledgement. It is called where that happens, inside strait_input, strait_advance
 * and socket calls, and may make no call of this stack. The record is borrowed for the call. NULL
 * ends it.
 */
STRAIT_API void strait_trace(struct strait *,
                             void (*told)(void *context, const struct strait_trace *),
                             void *context);

/* ---- Sockets ---- */

/*
 * As POSIX, and where it leaves room as Linux, with these notes. Domains: AF_INET. Types:
 * SOCK_STREAM, SOCK_DGRAM, with SOCK_NONBLOCK. SOCK_DGRAM with IPPROTO_ICMP is Linux's ping socket:
 * it sends echo requests (an ICMP message of 8 bytes and more, whose checksum and identifier are
 * written by the stack; the identifier is the local port, and shared, since SO_REUSEADDR is on at
 * first) and receives the replies, whole; the peer's port means nothing, and of ioctl there is
 * FIONBIO. A call on a blocking socket that has to wait drives the environment's wait; where there
 * is none it fails with EAGAIN, and inside a callback with EDEADLK. EINTR comes from that wait, and
 * no signal is ever raised. A closed descriptor's number stays EBADF for a long time: its slot is
 * used again under another number. A stack with sockets_max sockets says EMFILE. Port 0 as a
 * destination is EINVAL, the address 0.0.0.0 is the host itself. Nothing is received from groups or
 * broadcast addresses: to bind to one is EADDRNOTAVAIL. NULL where something has to be is EFAULT.
 */
STRAIT_API int strait_socket(struct strait *, int domain, int type, int protocol);
STRAIT_API int strait_bind(struct strait *, int fd, const struct sockaddr *, socklen_t);
STRAIT_API int strait_listen(struct strait *, int fd, int backlog);
STRAIT_API int strait_accept(struct strait *, int fd, struct sockaddr *, socklen_t *);
/* flags: SOCK_NONBLOCK (a plain accept makes a blocking socket). */
STRAIT_API int strait_accept4(struct strait *, int fd, struct sockaddr *, socklen_t *, int flags);
STRAIT_API int strait_connect(struct strait *, int fd, const struct sockaddr *, socklen_t);
STRAIT_API int strait_shutdown(struct strait *, int fd, int how);
STRAIT_API int strait_close(struct strait *, int fd);
STRAIT_API int strait_getsockname(struct strait *, int fd, struct sockaddr *, socklen_t *);
STRAIT_API int strait_getpeername(struct strait *, int fd, struct sockaddr *, socklen_t *);

/*
 * SOL_SOCKET: SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR (all read only;
 * of a stream that goes on SO_ERROR tells, once, what an ICMP error said of it, as in Linux);
 * SO_REUSEADDR, SO_REUSEPORT (two sockets may bind to one port if both say the latter, which
 * spreads connections and datagrams over them by the hash of addresses and ports, or both the
 * former and the first does not listen; so it is with a connection that is left, also in
 * TIME-WAIT); SO_SNDBUF, SO_RCVBUF (bytes, read back as they are used, not doubled as by Linux;
 * of a send buffer that was not set, which grows by itself, it is how far it may grow); SO_LINGER
 * (with a time of 0 close resets; with another it waits so many seconds, on a non-blocking socket
 * too, until the peer has acknowledged everything, and then goes on in the background, as it does
 * at once inside a callback); SO_RCVTIMEO, SO_SNDTIMEO (a call that waits fails with EAGAIN then,
 * connect with EINPROGRESS); SO_RCVLOWAT; SO_SNDLOWAT (read only, 1); SO_BROADCAST (off; to turn it
 * on is EOPNOTSUPP: nothing is sent to everybody); SO_KEEPALIVE (off at first; kept by UDP without
 * effect); SO_OOBINLINE (on; to turn it off is EOPNOTSUPP: urgent data stays in line, RFC 6093).
 *
 * IPPROTO_IP: IP_TTL (1 to 255; -1: the default, 64); IP_TOS (the Diffserv field; on a stream
 * without the two bits of ECN); IP_PKTINFO, IP_RECVTTL, IP_RECVTOS (what recvmsg tells of a
 * datagram; kept by streams without effect); IP_RECVERR (ICMP errors, soft ones too, are told to
 * datagram sockets whoever their peer is, and wait for MSG_ERRQUEUE, 64 at most; on a stream they
 * are told at once); IP_MTU_DISCOVER (IP_PMTUDISC_WANT at first; a stream has _DONT, _WANT and
 * _DO); IP_MTU (read only, of the way to the peer).
 *
 * IPPROTO_TCP: TCP_NODELAY; TCP_CORK
 * (a segment short of an MSS is held, for 200 ms at most once nothing is in flight); TCP_KEEPIDLE,
 * TCP_KEEPINTVL (seconds, 1 to 32767; 7200 and 75 at first) and TCP_KEEPCNT (1 to 127; 9);
 * TCP_USER_TIMEOUT (milliseconds without progress before the connection ends with ETIMEDOUT; 0:
 * after about a quarter of an hour); TCP_MAXSEG (0, or 88 to 32767: the largest segment that is
 * offered and sent; it reads as that which is sent); TCP_QUICKACK (what arrives is acknowledged at
 * once, until it is turned off; it reads as on at first); TCP_NOTSENT_LOWAT (bytes that may wait
 * without having been sent; 0: no limit); TCP_SYNCNT (1 to 127; 7; of a listener its SYN-ACKs, 5);
 * TCP_CONGESTION ("reno"; others are ENOENT); TCP_INFO (read only; linux/tcp.h has the whole
 * struct). An accepted socket inherits what can be set from its listener; what holds at first is
 * that of the settings, whose defaults stand here. Others are ENOPROTOOPT, those of another level
 * EOPNOTSUPP to read; a value that is too short to set, or out of range, is EINVAL.
 */
STRAIT_API int strait_getsockopt(struct strait *, int fd, int level, int name, void *value,
                                 socklen_t *);
STRAIT_API int strait_setsockopt(struct strait *, int fd, int level, int name, const void *value,
                                 socklen_t);

/*
 * Flags: MSG_DONTWAIT, MSG_NOSIGNAL (there is no signal); to send on a stream also MSG_MORE (as
 * TCP_CORK until the next send) and MSG_OOB (the bytes are urgent, RFC 9293 3.8.5); to receive also
 * MSG_PEEK, MSG_WAITALL, MSG_CMSG_CLOEXEC (without effect), MSG_TRUNC (the length of a datagram
 * that is cut; of a stream the bytes are thrown away) and MSG_ERRQUEUE; others are EOPNOTSUPP, and
 * MSG_OOB to receive from a stream is EINVAL. A blocking send returns when all bytes are taken, or
 * with those that were when it cannot go on. On a stream without connection they are EPIPE to send
 * and ENOTCONN to receive. A datagram has 65507 bytes at most (EMSGSIZE); one that exceeds the MTU
 * goes in fragments.
 */
STRAIT_API ssize_t strait_send(struct strait *, int fd, const void *, size_t, int flags);
STRAIT_API ssize_t strait_recv(struct strait *, int fd, void *, size_t, int flags);
STRAIT_API ssize_t strait_sendto(struct strait *, int fd, const void *, size_t, int flags,
                                 const struct sockaddr *, socklen_t);
STRAIT_API ssize_t strait_recvfrom(struct strait *, int fd, void *, size_t, int flags,
                                   struct sockaddr *, socklen_t *);
/*
 * Control data: IP_PKTINFO, IP_TTL, IP_TOS to send a datagram with, and to receive what the socket
 * has asked for; IP_RECVERR with MSG_ERRQUEUE. Interfaces have numbers: 1 is the loopback, 2 the
 * first link that was attached.
 */
STRAIT_API ssize_t strait_sendmsg(struct strait *, int fd, const struct msghdr *, int flags);
STRAIT_API ssize_t strait_recvmsg(struct strait *, int fd, struct msghdr *, int flags);
STRAIT_API ssize_t strait_read(struct strait *, int fd, void *, size_t);
STRAIT_API ssize_t strait_write(struct strait *, int fd, const void *, size_t);
STRAIT_API ssize_t strait_readv(struct strait *, int fd, const struct iovec *, int count);
STRAIT_API ssize_t strait_writev(struct strait *, int fd, const struct iovec *, int count);

/*
 * Sends on a stream without a copy: all of the bytes or none, whenever there is some room in the
 * send buffer (what exceeds it waits with the rest). They must stay as they are until
 * release(context) is called: once, by strait_dispatch or strait_free, after the peer has
 * acknowledged them or the connection has ended, in the order of the sends of a connection; never
 * from within another call. What is shorter than 2 KiB is copied, and released at the next
 * dispatch. A blocking socket waits for room. Returns `length`, or -1 with errno, and then release
 * is not called: as strait_send, or EINVAL (no bytes, or no release), EMSGSIZE (more than 2^29),
 * EOPNOTSUPP (no stream), ENOMEM.
 */
STRAIT_API ssize_t strait_send_reference(struct strait *, int fd, const void *bytes, size_t length,
                                         void (*release)(void *context), void *context);

/*
 * Receives on a stream without a copy, in two steps. strait_recv_borrow shows what waits to be
 * read, in at most `count` parts; they may be read until bytes are received or consumed, or the
 * socket is shut down or closed. Returns the number of parts, 0 at the end of the data, or -1 with
 * errno as strait_recv, or EINVAL (count below 1), EFAULT, EOPNOTSUPP (no stream).
 * strait_recv_consume takes the first `bytes` of what was shown. Returns 0, or -1 with errno EINVAL
 * (there is not so much), EBADF, ENOTCONN, EOPNOTSUPP.
 */
STRAIT_API int strait_recv_borrow(struct strait *, int fd, struct iovec *parts, int count);
STRAIT_API int strait_recv_consume(struct strait *, int fd, size_t bytes);

/*
 * Whether the next byte to be read is at the mark: the last byte that the peer has called urgent.
 * Returns 1 or 0, or -1 with EBADF or ENOTTY (no stream). POLLPRI says that urgent data is still to
 * be read, or to come; a read stops in front of the mark.
 */
STRAIT_API int strait_sockatmark(struct strait *, int fd);

/*
 * As ioctl(2): FIONREAD or SIOCINQ (bytes that wait to be read, of a datagram socket the length of
 * the next one), SIOCOUTQ (queued, and not acknowledged), SIOCOUTQNSD (queued, and never sent; of a
 * stream), SIOCATMARK (of a stream), FIONBIO. Returns 0, or -1 with errno EBADF, EFAULT, EINVAL (of
 * a listener), ENOTTY (others).
 */
STRAIT_API int strait_ioctl(struct strait *, int fd, unsigned long request, int *value);

/*
 * As fcntl(2): F_GETFL, and F_SETFL with O_NONBLOCK (O_ASYNC and O_APPEND are EINVAL, what cannot
 * be set is ignored). Returns the flags or 0, or -1 with errno EBADF or EINVAL (others).
 */
STRAIT_API int strait_fcntl(struct strait *, int fd, int command, int argument);

/*
 * As poll(2), over descriptors of this stack, at most sockets_max (EINVAL). Without an environment
 * that can wait, a timeout is over at once.
 */
STRAIT_API int strait_poll(struct strait *, struct pollfd *, nfds_t, int timeout_ms);

/*
 * Calls ready(argument, fd, revents) from strait_dispatch for as long as one of `events` holds
 * (level-triggered); POLLERR and POLLHUP are always reported. One watch a descriptor: a later call
 * replaces it, events 0 with ready NULL ends it, and so does strait_close. A callback may make any
 * call that does not block, on any socket. Returns 0, or -1 with EBADF or EINVAL (events without
 * ready).
 */
STRAIT_API int strait_watch(struct strait *, int fd, short events,
                            void (*ready)(void *argument, int fd, short revents), void *argument);

/* ---- The real world ---- */

struct strait_loop;

/*
 * A driver for real descriptors on the calling thread: epoll, the monotonic clock, files of the
 * host, a small thread pool that starts with the first work. Returns NULL with errno.
 */
STRAIT_API struct strait_loop *strait_loop_new(void);

/*
 * Frees the loop. Work and posts that were accepted are carried out first. Stacks and links are not
 * freed, and are not touched: a link that is freed earlier has to be removed before.
 */
STRAIT_API void strait_loop_free(struct strait_loop *);

/* The environment of the loop; it lives as long as the loop. */
STRAIT_API struct strait_env *strait_loop_env(struct strait_loop *);

/*
 * Lets the loop drive a stack through one of its links, already attached. Returns 0, or -1 with
 * errno (EEXIST if the link is in the loop already).
 */
STRAIT_API int strait_loop_add(struct strait_loop *, struct strait *, struct strait_link *);

/* Takes the link out of the loop, and its stack with the last of its links. */
STRAIT_API void strait_loop_remove(struct strait_loop *, struct strait_link *);

/*
 * One turn: waits until something happens or the deadline comes, and does what is due. Returns 0,
 * or -1 with EINTR after a signal, EDEADLK inside a callback of the loop, or the errno of a link
 * that has failed: every turn fails then, until that link is removed.
 */
STRAIT_API int strait_loop_turn(struct strait_loop *, uint64_t deadline_ns);

/* Turns until strait_loop_stop, signals or not. Returns 0, or -1 with errno as above. */
STRAIT_API int strait_loop_run(struct strait_loop *);

/* Ends strait_loop_run, or the next one if none runs. A signal handler may call it. */
STRAIT_API void strait_loop_stop(struct strait_loop *);

/*
 * From now on a turn that would sleep polls its links for so long first (0, the default: not at
 * all). That buys latency with processor time: a packet that comes meanwhile is answered without
 * waking the thread.
 */
STRAIT_API void strait_loop_busy_poll(struct strait_loop *, uint64_t busy_poll_ns);

/*
 * For a program with a loop of its own: a descriptor that is readable when strait_loop_turn has
 * work (timers included), to be called with a deadline of 0; and to be called so after socket calls
 * that were not made in a callback, which may have brought output. Returns -1 with errno.
 */
STRAIT_API int strait_loop_descriptor(struct strait_loop *);

/* How a TUN device is opened. Zero means the default, where there is one. */
struct strait_tun_config {
    size_t size;         /* sizeof(struct strait_tun_config) */
    const char *name;    /* "tun0" */
    uint32_t mtu;        /* 0: 1500 on a device that is made, else the device's own */
    bool plain;          /* no virtio-net header and no offload */
    struct in_addr peer; /* the kernel's address, set if not 0 and the privilege is there */
    int prefix_bits;     /* of the peer's address */
    /* txqueuelen; 0: leave it. Without offload the kernel drops what it may send if this is less
     * than a window in packets: 4500 of 1500 bytes are tcp.receive_buffer. */
    uint32_t queue_packets;
    /* Told what was tried and refused (an offload, a setting); may be NULL. */
    void (*notice)(void *context, const char *message);
    void *notice_context;
};

/*
 * Opens (and, if need be, makes and configures) a TUN device as a link. Returns NULL with errno,
 * and in `error` one line that says what failed and how to mend it.
 */
STRAIT_API struct strait_link *strait_tun_open(const struct strait_tun_config *, char *error,
                                               size_t error_bytes);

/*
 * The same with a queue for each shard of a host (strait_config.shards, by its secret and local
 * ports, which have to stay so): `links` has room for that many. The kernel gives each packet to
 * the queue of the shard that it belongs to. Where it cannot (a device that was made for one queue,
 * no right to load eBPF programs), `notice` is told, and one queue is opened, for a host of one
 * shard. The queues are to be closed only when all shards have ended, for the kernel renumbers
 * those that are left. Returns the number of links, or -1 with errno and a line in `error`.
 */
STRAIT_API int strait_tun_open_queues(const struct strait_tun_config *,
                                      const struct strait_config *, struct strait_link **links,
                                      char *error, size_t error_bytes);

#ifdef __cplusplus
}
#endif

#endif
