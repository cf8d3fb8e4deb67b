/* SPDX-License-Identifier: MIT */
/* What a loop waits for: foreign descriptors, and the links of stacks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "host/loop_state.h"

_Static_assert(POLLIN == EPOLLIN && POLLPRI == EPOLLPRI && POLLOUT == EPOLLOUT &&
                   POLLERR == EPOLLERR && POLLHUP == EPOLLHUP,
               "events of poll are passed to epoll and back as they are");

_Static_assert(offsetof(struct driven, node) == 0 && offsetof(struct source, node) == 0,
               "loop_free_list frees them by their node");

/* ---- The epoll set --------------------------------------------------------------------------- */

static int epoll_set(const struct strait_loop *loop, int operation, int fd, uint32_t events,
                     void *target)
{
    struct epoll_event event = {.events = events, .data.ptr = target};
    return epoll_ctl(loop->epoll, operation, fd, &event);
}

void loop_source_mute(struct strait_loop *loop, struct source *source)
{
    if (source->beside)
        loop->links_beside--;
    else if (source->fd >= 0) /* it fails if that has been closed, which took it out of the set */
        epoll_set(loop, EPOLL_CTL_DEL, source->fd, 0, NULL);
    source->beside = false;
    source->fd = -1;
}

/* Ends the source: no event that is already at hand will reach it. */
static void source_end(struct strait_loop *loop, struct source *source)
{
    loop_source_mute(loop, source);
    if (loop->lively == source)
        loop->lively = NULL;
    source->ended = true;
    list_remove(&source->node);
    list_append(&loop->ended, &source->node);
}

void loop_free_list(struct list *list)
{
    for (struct list *node = list->next, *next; node != list; node = next) {
        next = node->next;
        free(node);
    }
    list_init(list);
}

void loop_reap(struct strait_loop *loop)
{
    if (loop->turning || list_empty(&loop->ended))
        return;
    loop_free_list(&loop->ended);
    for (struct list *l = loop->stacks.next, *next; l != &loop->stacks; l = next) {
        next = l->next;
        struct driven *driven = container_of(l, struct driven, node);
        if (driven->links > 0)
            continue;
        list_remove(&driven->node);
        free(driven);
    }
}

/* Makes room for descriptor `fd` in the table of watches. */
static bool watches_reserve(struct strait_loop *loop, size_t fd)
{
    if (fd < loop->watches_capacity)
        return true;
    size_t capacity = 2 * fd + 16;
    struct source **watches = reallocarray(loop->watches, capacity, sizeof(struct source *));
    if (!watches)
        return false;
    memset(watches + loop->watches_capacity, 0,
           (capacity - loop->watches_capacity) * sizeof(struct source *));
    loop->watches = watches;
    loop->watches_capacity = capacity;
    return true;
}

int loop_watch_add(struct strait_loop *loop, int fd, short events,
                   void (*ready)(void *argument, int fd, short revents), void *argument)
{
    struct source *source = calloc(1, sizeof(*source));
    if (!source || !watches_reserve(loop, (size_t)fd) ||
        epoll_set(loop, EPOLL_CTL_ADD, fd, (uint32_t)events, source)) {
        free(source);
        return -1;
    }
    list_init(&source->node);
    source->fd = fd;
    source->events = events;
    source->ready = ready;
    source->argument = argument;
    loop->watches[fd] = source;
    return 0;
}

int loop_watch(struct strait_env *env, int fd, short events,
               void (*ready)(void *argument, int fd, short revents), void *argument)
{
    struct strait_loop *loop = loop_of(env);
    if (fd < 0) {
        errno = EBADF;
        return -1;
    }
    struct source *source = (size_t)fd < loop->watches_capacity ? loop->watches[fd] : NULL;
    if (source && events && epoll_set(loop, EPOLL_CTL_MOD, fd, (uint32_t)events, source) == 0) {
        source->events = events;
        source->ready = ready;
        source->argument = argument;
        return 0;
    }
    /* The watch ends; or its descriptor was closed, and this is another one of that number. */
    if (source) {
        loop->watches[fd] = NULL;
        source_end(loop, source);
        loop_reap(loop);
    }
    return events ? loop_watch_add(loop, fd, events, ready, argument) : 0;
}

/* ---- Links and stacks ------------------------------------------------------------------------ */

static struct driven *driven_find(struct strait_loop *loop, struct strait *stack)
{
    for (struct list *l = loop->stacks.next; l != &loop->stacks; l = l->next) {
        struct driven *driven = container_of(l, struct driven, node);
        if (driven->stack == stack)
            return driven;
    }
    return NULL;
}

static struct source *link_find(struct strait_loop *loop, const struct strait_link *link)
{
    for (struct list *l = loop->links.next; l != &loop->links; l = l->next) {
        struct source *source = container_of(l, struct source, node);
        if (source->link == link)
            return source;
    }
    return NULL;
}

/* From now on the loop waits for the link, if it has a descriptor. Returns 0, or -1 with errno. */
static int link_hear(struct strait_loop *loop, struct source *source)
{
    if (source->link->fd < 0)
        return 0;
    if (epoll_set(loop, EPOLL_CTL_ADD, source->link->fd, EPOLLIN, source))
        return -1;
    source->fd = source->link->fd;
    if (loop->embedded || loop->links_beside == LINKS_BESIDE_MAX)
        return 0;
    /* It was in the set only to learn that it can be waited for. */
    epoll_set(loop, EPOLL_CTL_DEL, source->fd, 0, NULL);
    source->beside = true;
    loop->links_beside++;
    return 0;
}

int loop_links_join(struct strait_loop *loop)
{
    for (struct list *l = loop->links.next; l != &loop->links; l = l->next) {
        struct source *source = container_of(l, struct source, node);
        if (!source->beside)
            continue;
        if (epoll_set(loop, EPOLL_CTL_ADD, source->fd, EPOLLIN, source))
            return -1;
        source->beside = false;
        loop->links_beside--;
    }
    return 0;
}

int strait_loop_add(struct strait_loop *loop, struct strait *stack, struct strait_link *link)
{
    if (link_find(loop, link)) {
        errno = EEXIST;
        return -1;
    }
    struct driven *known = driven_find(loop, stack);
    struct driven *driven = known ? known : calloc(1, sizeof(*driven));
    struct source *source = calloc(1, sizeof(*source));
    if (source) {
        source->fd = -1;
        source->link = link;
        source->driven = driven;
    }
    if (!driven || !source || link_hear(loop, source)) {
        free(source);
        if (!known)
            free(driven);
        return -1;
    }
    if (!known) {
        driven->stack = stack;
        list_append(&loop->stacks, &driven->node);
    }
    driven->links++;
    list_append(&loop->links, &source->node);
    /* The stack must know the time before the first socket call arms a timer. */
    loop->next_ns = earlier(loop->next_ns, strait_advance(stack, clock_now()));
    return 0;
}

void strait_loop_remove(struct strait_loop *loop, struct strait_link *link)
{
    struct source *source = link_find(loop, link);
    if (!source)
        return;
    source->driven->links--;
    loop->failed -= source->error != 0;
    source_end(loop, source);
    loop_reap(loop);
}
