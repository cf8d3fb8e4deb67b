/* SPDX-License-Identifier: MIT */
/*
 * What TCP services have in common: a listener, a bounded list of sessions (one a connection), and
 * an orderly end. A service is a const table of functions; it sees its sessions only. Everything
 * runs on the thread that drives the stack, from socket callbacks and timers, and no call blocks.
 */
#ifndef APPS_SERVER_H
#define APPS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "stream.h"

struct server;

/* One connection. A service embeds it as the first member of its own struct. */
struct session {
    LIST_ENTRY(session) link;
    struct server *server;
    struct strait_timer timer; /* idle while the service has the session, then of session_finish */
    struct stream stream;
    short events; /* what it is watched for */
    bool finishing;
};

/* What a service does with its sessions. */
struct service {
    size_t session_bytes; /* of the struct that embeds the session */
    size_t sessions_max;  /* at this number nothing more is accepted until there is room */
    uint64_t idle_ns;     /* how long session_active may stay away before `idle`; 0: for ever,
                           * as long as the peer answers keep-alives */

    /* At sessions_max: ends a session that can be spared, if any, and says whether. May be NULL. */
    bool (*make_room)(void *context);

    /* A session has begun, zeroed behind its first member, watched for POLLIN. May be NULL. */
    void (*opened)(struct session *);
    /* One of the events it is watched for holds, or its connection has failed. */
    void (*ready)(struct session *, short revents);
    /* Nothing has been heard of it for idle_ns: to end it by a call below. */
    void (*idle)(struct session *);
    /* The server stops: to call session_finish, now or once what is under way is done. */
    void (*stop)(struct session *);
    /* The session ends, for whatever reason: releases what it holds. May be NULL. */
    void (*closed)(struct session *);
    /* The server ends: releases the service's context. */
    void (*release)(void *context);
};

/*
 * Listens on a port of every address. `service` outlives the server. `context` is the server's from
 * this call on, and is released when the call fails too; NULL, from an allocation that has failed,
 * is answered by ENOMEM. Returns NULL with errno: ENOMEM, EADDRINUSE, and what else strait_socket,
 * strait_bind and strait_listen say.
 */
struct server *server_start(struct strait *, struct strait_env *, const struct service *,
                            uint16_t port, void *context);

/* The same on streams of any kind, at one address or at every one (0.0.0.0). */
struct server *server_start_at(const struct stream_host *, const struct service *,
                               const struct sockaddr_in *, void *context);

/* Closes the listener and tells every session to stop. Sessions end as their peers follow. */
void server_stop(struct server *);

/* The number of sessions that have not ended. */
size_t server_sessions(const struct server *);

/* Ends the server at once: sessions that are left are reset. NULL is allowed. */
void server_free(struct server *);

/* make_room would find a session now: if the server has stopped to accept, it asks again. */
void server_room_is_near(struct server *);

struct strait_env *server_env(const struct server *);
void *server_context(const struct server *);

/*
 * stream_recv, stream_send and stream_sendv on the session's stream, except that `*end` (recv)
 * tells the end of the stream and 0 bytes mean that it is not the time: return the number of bytes,
 * or -1 when the connection has failed.
 */
ssize_t session_recv(struct session *, void *bytes, size_t length, int flags, bool *end);
ssize_t session_send(struct session *, const void *bytes, size_t length);
ssize_t session_sendv(struct session *, const struct iovec *parts, int count);

/*
 * stream_lend on the session's stream. Returns `length`, or 0 if it is not the time, or -1 when the
 * connection has failed or memory is short; without `length` nothing is kept.
 */
ssize_t session_lend(struct session *, const void *bytes, size_t length,
                     void (*release)(void *context), void *context);

/* Watches the stream for POLLIN, POLLOUT, both, or (0) for its failure alone. */
void session_watch(struct session *, short events);

/* The idle time starts again. */
void session_active(struct session *);

/* The same with another time than the service's, this once. */
void session_active_for(struct session *, uint64_t ns);

/*
 * Ends the session in order: what has been sent is followed by a FIN, what still arrives is thrown
 * away until the peer has finished too or 5 seconds have passed (closing with bytes unread would
 * reset the connection, and the peer could lose the last of what it was sent). The service does
 * not hear of the session again but by `closed`.
 */
void session_finish(struct session *);

/* Ends the session and frees it; the stack still delivers what has been sent. */
void session_close(struct session *);

/* Ends the session by a reset, and frees it. */
void session_abort(struct session *);

#endif
